import { useRef } from 'react'
import { useKeys } from '../keys.ts'

/**
 * `j` and `k` on a short list: the links marked `data-row` take the focus in turn, and enter follows one as ever.
 * Give the returned ref to what holds the rows.
 */
export function useRowKeys(title: string) {
  const holder = useRef<HTMLDivElement>(null)
  function step(by: 1 | -1) {
    const rows = [...(holder.current?.querySelectorAll<HTMLElement>('[data-row]') ?? [])]
    const at = rows.indexOf(document.activeElement as HTMLElement)
    rows[at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + by))]?.focus()
  }
  useKeys(title, [
    { keys: 'j', text: 'Next row', run: () => step(1) },
    { keys: 'k', text: 'Previous row', run: () => step(-1) },
  ])
  return holder
}
