import type { Difference, Replay } from '@maestro/contract'
import { duration, percent } from './format.ts'
import type { Out } from './out.ts'
import { oneLine } from './visible.ts'

const shownMax = 5

/** The verdict of a replay for reading: identical or not, how much, and where it first differs. */
export function replayText(replay: Replay, out: Pick<Out, 'style'>): string[] {
  const { frames, identical, differences, durationMs, driver } = replay
  const verdict = identical ? out.style('green', 'identical') : out.style('red', 'diverged')
  const lines = [
    `${verdict}  ${replay.session}`,
    `  frames   ${frames.matched} of ${frames.total} equal (${percent(frames.fidelity)})`,
    `  session  ${identical ? 'every frame equal, none missing, none extra, in order' : 'not the same'}`,
    `  replay   ${replay.id}, ${driver}, ${duration(durationMs)}`,
  ]
  if (identical) return lines
  const shown = [
    ...(replay.firstDivergence ? [replay.firstDivergence] : []),
    ...differences.filter(found => !isSame(found, replay.firstDivergence)),
  ]
  for (const [index, difference] of shown.slice(0, shownMax).entries()) {
    lines.push('', `${index === 0 ? 'First difference' : 'Then'}: ${differenceText(difference)}`, ...sides(difference, out))
  }
  if (shown.length > shownMax) lines.push('', `and ${shown.length - shownMax} more; --json lists the first 20.`)
  return lines
}

const isSame = (a: Difference, b: Difference | null) =>
  b !== null && a.key === b.key && a.pointer === b.pointer && a.kind === b.kind

const kinds = { value: 'differs', missing: 'is missing', extra: 'was not recorded', order: 'came out of order' } as const

function differenceText({ kind, key, frame, pointer }: Difference): string {
  const where = pointer ? ` at ${oneLine(pointer, 120)}` : ''
  return `${oneLine(key, 120)} ${kinds[kind]}${where}${frame === null ? '' : ` (frame ${frame})`}`
}

function sides({ recorded, replayed }: Difference, out: Pick<Out, 'style'>): string[] {
  const side = (sign: string, colour: 'red' | 'green', value: unknown) =>
    value === undefined ? [] : [`  ${out.style(colour, `${sign} ${oneLine(JSON.stringify(value), 300)}`)}`]
  return [...side('- recorded', 'red', recorded), ...side('+ replayed', 'green', replayed)]
}
