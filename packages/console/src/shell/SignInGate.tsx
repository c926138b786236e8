import { useQueryClient } from '@tanstack/react-query'
import { type FormEvent, type ReactNode, useEffect, useRef, useState } from 'react'
import { call, whenSignedOut } from '../api/call.ts'
import { queries } from '../api/queries.ts'
import { Problem } from '../ui/Problem.tsx'
import { Waiting } from '../ui/Waiting.tsx'
import { Mark } from './Mark.tsx'
import { takeKeyFromUrl } from './signIn.ts'

type State = { is: 'asking' } | { is: 'in' } | { is: 'out'; error?: unknown }

/** Shows the console to whoever holds the cookie, and how to get one to everybody else. */
export function SignInGate({ operatorKey, children }: { operatorKey: string | null; children: ReactNode }) {
  const client = useQueryClient()
  const [state, setState] = useState<State>({ is: 'asking' })
  const started = useRef(false)

  useEffect(() => {
    whenSignedOut(() => setState(now => (now.is === 'out' ? now : { is: 'out' })))
    // A key works as often as it is sent, but one try is enough.
    if (started.current) return
    started.current = true
    const entered = operatorKey
      ? call('signIn', { body: { key: operatorKey } }).then(() => {})
      : // With Conductor away the console still opens and says so on each page.
        client.fetchQuery(queries.status()).then(
          () => {},
          error => {
            if (error?.problem?.status === 401) throw null
          },
        )
    entered.then(
      () => setState({ is: 'in' }),
      error => setState(error === null ? { is: 'out' } : { is: 'out', error }),
    )
  }, [client, operatorKey])

  async function enter(key: string) {
    try {
      await call('signIn', { body: { key } })
      client.clear()
      setState({ is: 'in' })
    } catch (error) {
      setState({ is: 'out', error })
    }
  }

  // The URL with the key, opened where the console already is, changes the fragment only.
  useEffect(() => {
    const onHash = () => {
      const key = takeKeyFromUrl()
      if (key) void enter(key)
    }
    addEventListener('hashchange', onHash)
    return () => removeEventListener('hashchange', onHash)
  })

  if (state.is === 'in') return children
  if (state.is === 'asking') return <Waiting what="Signing in" />
  return <SignIn error={state.error} enter={enter} />
}

function SignIn({ error, enter }: { error: unknown; enter: (key: string) => Promise<void> }) {
  const [busy, setBusy] = useState(false)
  useEffect(() => {
    document.title = 'Sign in · Switchboard'
  }, [])
  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault()
    const typed = String(new FormData(event.currentTarget).get('key') ?? '').trim()
    // People paste the whole URL.
    const key = /#key=(.+)$/.exec(typed)?.[1] ?? typed
    if (key === '') return
    setBusy(true)
    await enter(key)
    setBusy(false)
  }
  return (
    <main className="sign-in">
      <div className="brand">
        <Mark size={28} />
        <span>Switchboard</span>
      </div>
      <h1>Sign in</h1>
      <p>
        This console belongs to whoever started Conductor on this machine. Run <code>maestro open</code> there, or use the URL
        that <code>maestro up</code> printed when it started.
      </p>
      <form onSubmit={submit}>
        <label htmlFor="key">Operator key</label>
        <input
          id="key"
          name="key"
          type="password"
          autoComplete="current-password"
          spellCheck={false}
          placeholder="The key, or the whole URL"
        />
        <button type="submit" className="button primary" disabled={busy}>
          {busy ? 'Signing in…' : 'Sign in'}
        </button>
      </form>
      {error !== undefined && <Problem error={error} doing="sign in" />}
    </main>
  )
}
