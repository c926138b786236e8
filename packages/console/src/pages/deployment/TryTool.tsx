import type { Deployment, Tool } from '@maestro/contract'
import { useMutation } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { type FormEvent, useEffect, useRef, useState } from 'react'
import { call } from '../../api/call.ts'
import { callTool } from '../../api/mcp.ts'
import { announce } from '../../ui/Announcer.tsx'
import { Body } from '../../ui/Body.tsx'
import { duration } from '../../ui/format.ts'
import { Problem } from '../../ui/Problem.tsx'
import { printed } from '../../ui/printed.ts'
import { ObjectFields } from './SchemaField.tsx'
import { fieldKind, missingIn, schemaOf, startOf } from './schema.ts'

type Arguments = Record<string, unknown>

/** A form made from the tool's schema; sends the call the way any client would and shows what came back. */
export function TryTool({ deployment, tool }: { deployment: Deployment; tool: Tool }) {
  const schema = schemaOf(tool.inputSchema)
  const hasForm = fieldKind(schema) === 'object'
  const [args, setArgs] = useState<Arguments>(() => (startOf(schema) ?? {}) as Arguments)
  const [raw, setRaw] = useState<string | null>(null)
  const [told, setTold] = useState<{ method: string; params: unknown }[]>([])
  const [wrong, setWrong] = useState<string | null>(null)
  const gone = useRef<AbortController>(null)
  useEffect(() => () => gone.current?.abort(), [])

  const run = useMutation({
    mutationFn: async (sent: Arguments) => {
      setTold([])
      const stop = new AbortController()
      gone.current = stop
      const { token, mcpUrl } = await call('mintToken', {
        body: { deployment: deployment.id, tools: [tool.name], subject: 'console', ttlMs: 300_000 },
      })
      return callTool(
        mcpUrl,
        token,
        tool.name,
        sent,
        (method, params) => setTold(now => [...now.slice(-49), { method, params }]),
        stop.signal,
      )
    },
    onSuccess: answer => announce(answer.error ? 'The call ended with an error' : 'The call was answered'),
  })

  function submit(event: FormEvent) {
    event.preventDefault()
    setWrong(null)
    let sent = args
    if (raw !== null) {
      try {
        sent = raw.trim() === '' ? {} : JSON.parse(raw)
      } catch (error) {
        setWrong(`The arguments are not JSON: ${error instanceof Error ? error.message : error}`)
        return
      }
    } else {
      const missing = missingIn(schema, args)
      if (missing.length > 0) {
        setWrong(`Fill in ${missing.join(', ')}, or send it so from the raw view.`)
        return
      }
    }
    run.mutate(sent)
  }
  const isToolError = Boolean(run.data?.result && (run.data.result as { isError?: unknown }).isError === true)
  return (
    <section className="try" aria-label={`Try ${tool.name}`}>
      <form className="form" onSubmit={submit}>
        {hasForm && (
          <fieldset className="segments">
            <legend className="only-heard">Arguments as</legend>
            <button
              type="button"
              aria-pressed={raw === null}
              onClick={() => {
                try {
                  if (raw !== null) setArgs(JSON.parse(raw) as Arguments)
                  setRaw(null)
                  setWrong(null)
                } catch {
                  setWrong('The arguments are not JSON; correct them before going back to the form.')
                }
              }}
            >
              Form
            </button>
            <button type="button" aria-pressed={raw !== null} onClick={() => setRaw(raw ?? JSON.stringify(args, null, 2))}>
              Raw JSON
            </button>
          </fieldset>
        )}
        {raw !== null || !hasForm ? (
          <div className="field">
            <label htmlFor="arguments">Arguments</label>
            <textarea
              id="arguments"
              rows={8}
              spellCheck={false}
              value={raw ?? JSON.stringify(args, null, 2)}
              onChange={event => setRaw(event.target.value)}
            />
            {!hasForm && <span className="hint">The tool describes no fields; {'{}'} sends none.</span>}
          </div>
        ) : (
          <ObjectFields schema={schema} value={args} onChange={setArgs} />
        )}
        {wrong && (
          <p className="field-error" role="alert">
            {wrong}
          </p>
        )}
        <div className="form-foot">
          <button type="submit" className="button primary" disabled={run.isPending}>
            {run.isPending ? 'Calling…' : `Call ${tool.name}`}
          </button>
          {run.isPending && (
            <button type="button" className="button quiet" onClick={() => gone.current?.abort()}>
              Give up
            </button>
          )}
          <span className="hint">Opens a session of its own with a token for this tool only; it is recorded like any other.</span>
        </div>
      </form>
      {told.length > 0 && (
        <ul className="told" aria-label="Messages while it ran">
          {told.map(({ method, params }, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: messages are only ever added
            <li key={index}>
              <code>{method}</code> {printed(params).slice(0, 200)}
            </li>
          ))}
        </ul>
      )}
      {run.error && <Problem error={run.error} doing={`call ${tool.name}`} />}
      {run.data && (
        <div className="answer">
          <p>
            <b className={run.data.error || isToolError ? 'bad' : 'good'}>
              {run.data.error ? 'Error' : isToolError ? 'The tool reported a failure' : 'Answered'}
            </b>{' '}
            in {duration(run.data.callMs)}, after {duration(run.data.initializeMs)} to open the session.{' '}
            {run.data.session && (
              <Link to="/sessions/$id" params={{ id: run.data.session }}>
                See its session
              </Link>
            )}
          </p>
          <Body
            value={run.data.error ?? run.data.result}
            label="result"
            fileName={`${tool.name}-result.json`}
            absent="It answered with nothing."
          />
        </div>
      )}
    </section>
  )
}
