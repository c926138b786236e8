import type { Difference } from '@maestro/contract'
import { parseFrame } from './canonical.ts'
import { excerptOf, frameDifferences } from './diverge.ts'
import { type CausalKey, createKeyer, sessionStream, type TraceFrame } from './match.ts'

/** Two runs side by side. Outputs are what the server sent; inputs what it was sent. */
export interface Comparison {
  /** `fidelity` = equal outputs ÷ outputs of either run: one that is missing and one that is extra both count as failures. */
  frames: { matched: number; total: number; fidelity: number }
  /** Share of the recording’s happens-before relations that the replay kept. */
  order: { kept: number; total: number; fidelity: number }
  missing: number
  extra: number
  /** Outputs of independent requests that came in another order: told, not scored, for nothing ordered them. */
  reordered: number
  /** Strict session fidelity: the same inputs, every output equal, none missing, none extra, order kept. No masks. */
  identical: boolean
  firstDivergence: Difference | null
  /** The first `differencesMax`, in the order of the tape. */
  differences: Difference[]
}

interface Placed extends CausalKey {
  frame: TraceFrame
  /** Where in its run. */
  position: number
}

interface Run {
  inputs: Placed[]
  outputs: Placed[]
  byKey: Map<string, Placed>
}

/** Compares a replay with the recording it is of. Pure; both traces are untrusted. */
export function compareTraces(recorded: readonly TraceFrame[], replayed: readonly TraceFrame[], differencesMax = 20): Comparison {
  const left = runOf(recorded)
  const right = runOf(replayed)
  const found = new Findings()

  const inputsSame = compareInputs(left, right, found)
  let matched = 0
  let missing = 0
  for (const output of left.outputs) {
    const other = right.byKey.get(output.key)
    if (other === undefined) {
      missing++
      found.add(output.position, {
        kind: 'missing',
        key: output.key,
        frame: output.frame.ordinal,
        pointer: null,
        recorded: frameExcerpt(output.frame.bytes),
      })
      continue
    }
    const differences = frameDifferences(output.frame.bytes, other.frame.bytes, differencesMax)
    if (differences.length === 0) matched++
    for (const difference of differences) {
      found.add(output.position, { kind: 'value', key: output.key, frame: output.frame.ordinal, ...difference })
    }
  }
  const extra = addExtra(left, right, found)
  const order = compareOrder(left, right, found)
  const total = left.outputs.length + extra
  const differences = found.first(differencesMax)
  return {
    frames: { matched, total, fidelity: total === 0 ? 1 : matched / total },
    order: { ...order, fidelity: order.total === 0 ? 1 : order.kept / order.total },
    missing,
    extra,
    reordered: countReordered(left, right),
    identical: inputsSame && matched === total && order.kept === order.total,
    firstDivergence: differences[0] ?? null,
    differences,
  }
}

function runOf(frames: readonly TraceFrame[]): Run {
  const keyer = createKeyer()
  const run: Run = { inputs: [], outputs: [], byKey: new Map() }
  for (const [position, frame] of frames.entries()) {
    const placed = { ...keyer.keyOf(frame.direction, frame.bytes), frame, position }
    if (frame.direction === 'inward') run.inputs.push(placed)
    else {
      run.outputs.push(placed)
      run.byKey.set(placed.key, placed)
    }
  }
  return run
}

/** The inputs are ours, so they are not scored; but two runs that were asked different things are not the same session. */
function compareInputs(left: Run, right: Run, found: Findings): boolean {
  let same = true
  for (let index = 0; index < Math.max(left.inputs.length, right.inputs.length); index++) {
    const input = left.inputs[index]
    const other = right.inputs[index]
    const differences = input && other ? frameDifferences(input.frame.bytes, other.frame.bytes, 1) : [null]
    if (differences.length === 0) continue
    same = false
    found.add(input?.position ?? Number.POSITIVE_INFINITY, {
      kind: input && other ? 'value' : input ? 'missing' : 'extra',
      key: `input ${(input ?? other)?.key}`,
      frame: input?.frame.ordinal ?? null,
      ...(differences[0] ?? { pointer: null }),
    })
  }
  return same
}

/** An extra output is told where it came: behind the last output before it that the recording has too. */
function addExtra(left: Run, right: Run, found: Findings): number {
  let extra = 0
  let after = -1
  for (const output of right.outputs) {
    const known = left.byKey.get(output.key)
    if (known) {
      after = known.position
      continue
    }
    extra++
    found.add(after + 0.5, {
      kind: 'extra',
      key: output.key,
      frame: null,
      pointer: null,
      replayed: frameExcerpt(output.frame.bytes),
    })
  }
  return extra
}

/**
 * Happens-before, as far as a recording shows it: an output comes after the input before it and before the input after
 * it (the client had seen it when it spoke); outputs of one stream keep their order; and what came during the only
 * open request stays between that request’s neighbours. Independent requests have no order between them.
 */
function compareOrder(left: Run, right: Run, found: Findings): { kept: number; total: number } {
  let kept = 0
  let total = 0
  const placeOf = (placed: Placed, inputIndex: number): number | undefined =>
    placed.frame.direction === 'inward' ? right.inputs[inputIndex]?.position : right.byKey.get(placed.key)?.position
  const relate = (before: Placed, after: Placed, beforeIndex: number, afterIndex: number) => {
    total++
    const first = placeOf(before, beforeIndex)
    const second = placeOf(after, afterIndex)
    if (first !== undefined && second !== undefined && first < second) {
      kept++
      return
    }
    // What is missing was told already.
    if (first === undefined || second === undefined) return
    found.add(after.position, {
      kind: 'order',
      key: after.frame.direction === 'outward' ? after.key : before.key,
      frame: (after.frame.direction === 'outward' ? after : before).frame.ordinal,
      pointer: null,
      recorded: `${before.key} before ${after.key}`,
      replayed: `${after.key} before ${before.key}`,
    })
  }

  const lastOfStream = new Map<string, Placed>()
  const waitingFor = new Map<string, Placed[]>()
  let inputIndex = 0
  let lastResponse: Placed | null = null
  for (const output of left.outputs) {
    while ((left.inputs[inputIndex]?.position ?? Number.POSITIVE_INFINITY) < output.position) inputIndex++
    const inputBefore = left.inputs[inputIndex - 1]
    const inputAfter = left.inputs[inputIndex]
    if (inputBefore) relate(inputBefore, output, inputIndex - 1, -1)
    if (inputAfter) relate(output, inputAfter, -1, inputIndex)

    const sibling = lastOfStream.get(output.stream)
    if (sibling) relate(sibling, output, -1, -1)
    lastOfStream.set(output.stream, output)

    if (output.stream === sessionStream) {
      if (output.during !== null) {
        const waiting = waitingFor.get(output.during)
        if (waiting) waiting.push(output)
        else waitingFor.set(output.during, [output])
        const owned = lastOfStream.get(output.during)
        if (owned) relate(owned, output, -1, -1)
      } else if (lastResponse) relate(lastResponse, output, -1, -1)
    } else {
      for (const one of waitingFor.get(output.stream) ?? []) relate(one, output, -1, -1)
      waitingFor.delete(output.stream)
      if (output.key === `${output.stream} response`) lastResponse = output
    }
  }
  return { kept, total }
}

function countReordered(left: Run, right: Run): number {
  let furthest = -1
  let count = 0
  for (const output of left.outputs) {
    const position = right.byKey.get(output.key)?.position
    if (position === undefined) continue
    if (position < furthest) count++
    else furthest = position
  }
  return count
}

function frameExcerpt(bytes: Uint8Array): unknown {
  const value = parseFrame(bytes)
  return excerptOf(value === undefined ? new TextDecoder().decode(bytes.subarray(0, 4000)) : value)
}

/** Differences with their place on the tape, so that the first one told is the first that happened. */
class Findings {
  readonly #all: { position: number; difference: Difference }[] = []

  add(position: number, difference: Difference): void {
    this.#all.push({ position, difference })
  }

  first(max: number): Difference[] {
    return this.#all
      .sort((a, b) => a.position - b.position)
      .slice(0, max)
      .map(({ difference }) => difference)
  }
}
