import { Check, Copy as CopyIcon } from 'lucide-react'
import { useEffect, useState } from 'react'
import { announce } from './Announcer.tsx'

/** Copies text; says so to eye and ear. `label` names what is copied. */
export function Copy({ text, label, shown }: { text: string | (() => string); label: string; shown?: string }) {
  const [state, setState] = useState<'idle' | 'done' | 'failed'>('idle')
  useEffect(() => {
    if (state === 'idle') return
    const timer = setTimeout(() => setState('idle'), 1_600)
    return () => clearTimeout(timer)
  }, [state])

  async function copy() {
    try {
      await navigator.clipboard.writeText(typeof text === 'string' ? text : text())
      setState('done')
      announce(`${label} copied`)
    } catch {
      setState('failed')
      announce(`The browser did not allow to copy the ${label}`)
    }
  }

  const Icon = state === 'done' ? Check : CopyIcon
  return (
    <button
      type="button"
      className={shown ? 'button quiet' : 'icon-button'}
      onClick={copy}
      aria-label={`Copy ${label}`}
      title={state === 'failed' ? 'The browser did not allow to copy' : `Copy ${label}`}
      data-state={state}
    >
      <Icon size={14} aria-hidden />
      {shown && <span>{state === 'done' ? 'Copied' : shown}</span>}
    </button>
  )
}
