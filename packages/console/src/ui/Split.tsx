import { type KeyboardEvent, type PointerEvent, type ReactNode, useRef, useState } from 'react'

const percentMin = 25
const percentMax = 80

/** Two panels and a divider between them that pointer and arrow keys move. The place is remembered. */
export function Split({ name, start, end }: { name: string; start: ReactNode; end: ReactNode }) {
  const remembered = `switchboard.split.${name}`
  const holder = useRef<HTMLDivElement>(null)
  const [percent, setPercent] = useState(() => within(Number(localStorage.getItem(remembered) ?? 58)))

  function move(to: number) {
    const next = within(to)
    setPercent(next)
    localStorage.setItem(remembered, String(Math.round(next)))
  }
  function onPointerMove(event: PointerEvent) {
    if (!event.currentTarget.hasPointerCapture(event.pointerId)) return
    const box = holder.current!.getBoundingClientRect()
    move(((event.clientX - box.left) / box.width) * 100)
  }
  function onKeyDown(event: KeyboardEvent) {
    const to = { ArrowLeft: percent - 2, ArrowRight: percent + 2, Home: percentMin, End: percentMax }[event.key]
    if (to === undefined) return
    event.preventDefault()
    move(to)
  }
  return (
    <div className="split" ref={holder} style={{ '--split': `${percent}%` } as React.CSSProperties}>
      <div className="split-part">{start}</div>
      {/* biome-ignore lint/a11y/useSemanticElements: a rule cannot be moved; a separator that takes the focus is the pattern for a splitter */}
      <div
        className="split-divider"
        role="separator"
        aria-orientation="vertical"
        aria-label="Width of the left panel"
        aria-valuenow={Math.round(percent)}
        aria-valuemin={percentMin}
        aria-valuemax={percentMax}
        tabIndex={0}
        onPointerDown={event => event.currentTarget.setPointerCapture(event.pointerId)}
        onPointerMove={onPointerMove}
        onKeyDown={onKeyDown}
        onDoubleClick={() => move(58)}
      />
      <div className="split-part">{end}</div>
    </div>
  )
}

const within = (percent: number): number => (Number.isFinite(percent) ? Math.min(percentMax, Math.max(percentMin, percent)) : 58)
