import { Search, X } from 'lucide-react'
import { useEffect, useRef, useState } from 'react'
import { useKeys } from '../keys.ts'

interface Props {
  label: string
  value: string
  onChange: (text: string) => void
  /** Enter and shift-enter, where there are matches to step through. */
  onStep?: (step: 1 | -1) => void
  placeholder?: string
}

const settleMs = 200

/** A field to search by; `/` goes to it, escape leaves it. The value is handed on when typing rests. */
export function SearchField({ label, value, onChange, onStep, placeholder }: Props) {
  const [typed, setTyped] = useState(value)
  const input = useRef<HTMLInputElement>(null)
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined)
  useEffect(() => setTyped(value), [value])
  useEffect(() => () => clearTimeout(timer.current), [])
  useKeys('Search', [{ keys: '/', text: label, run: () => input.current?.select() }])

  function hand(text: string, after: number) {
    setTyped(text)
    clearTimeout(timer.current)
    timer.current = setTimeout(() => onChange(text), after)
  }
  return (
    <div className="search-field">
      <Search size={14} aria-hidden />
      <input
        ref={input}
        type="search"
        aria-label={label}
        placeholder={placeholder ?? label}
        spellCheck={false}
        autoComplete="off"
        value={typed}
        onChange={event => hand(event.target.value, settleMs)}
        onKeyDown={event => {
          if (event.key === 'Escape') event.currentTarget.blur()
          if (event.key === 'Enter') {
            if (typed !== value) hand(typed, 0)
            else onStep?.(event.shiftKey ? -1 : 1)
          }
        }}
      />
      {typed ? (
        <button type="button" className="icon-button" aria-label="Clear search" onClick={() => hand('', 0)}>
          <X size={13} aria-hidden />
        </button>
      ) : (
        <span className="key" aria-hidden="true">
          /
        </span>
      )}
    </div>
  )
}
