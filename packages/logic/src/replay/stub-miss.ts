import { ConductorError, rpcErrorOf } from '@maestro/contract'
import type { RpcError } from '../frame/answer-error.ts'
import { valueDifferences } from './diverge.ts'
import type { Cue } from './stub-plan.ts'

/** The recorded call that is closest to one that was asked. */
export interface NearestCall {
  method: string
  name: string | null
  /** Among the requests of the tape, and the ordinal of its frame. */
  position: number
  frame: number
  /** Where its parameters differ from those asked; empty where the call is on the tape but not at this place. */
  pointers: string[]
}

// A hostile or merely long tape must not make one miss expensive.
const candidatesMax = 200
const pointersMax = 20

/** The recorded call of the same method with the fewest differing parameters, the nearest in position among equals. */
export function nearestCall(asked: Cue, recorded: readonly Cue[], position: number): NearestCall | null {
  const ofMethod = recorded.filter(cue => cue.method === asked.method)
  const candidates = (ofMethod.length > 0 ? ofMethod : recorded)
    .toSorted((a, b) => Math.abs(a.position - position) - Math.abs(b.position - position))
    .slice(0, candidatesMax)
  let nearest: NearestCall | null = null
  for (const cue of candidates) {
    const pointers =
      cue.key === asked.key ? [] : valueDifferences(cue.params, asked.params, pointersMax).map(difference => difference.pointer)
    if (nearest !== null && (pointers.length >= nearest.pointers.length || cue.method !== asked.method)) continue
    nearest = { method: cue.method, name: cue.name, position: cue.position, frame: cue.ordinal, pointers }
  }
  return nearest
}

/** The JSON-RPC error of a call that the recording does not hold. Pointers, never values: errors carry no payload. */
export function missError(asked: Cue, recorded: readonly Cue[], position: number): RpcError {
  const nearest = nearestCall(asked, recorded, position)
  const call = asked.name === null ? asked.method : `${asked.method} ${asked.name}`
  const error = rpcErrorOf(
    new ConductorError('stub_miss', `The recording does not hold ${call} here. ${explain(nearest, asked)}`),
  )
  return { ...error, data: { ...error.data, nearest } }
}

/** The error of a call whose answer depended on one that the client now gives otherwise. */
export function answerMissError(asked: Cue, differences: readonly string[]): RpcError {
  const where = differences.map(pointer => pointer || 'the whole').join(', ')
  const error = rpcErrorOf(
    new ConductorError('stub_miss', `The client answered the server otherwise than it did on the tape: ${where} differs.`),
  )
  const nearest = {
    method: asked.method,
    name: asked.name,
    position: asked.position,
    frame: asked.ordinal,
    pointers: differences,
  }
  return { ...error, data: { ...error.data, nearest } }
}

/** The error of a call that the recorded server never answered. */
export function unansweredError(asked: Cue): RpcError {
  const error = rpcErrorOf(new ConductorError('stub_miss', `The recorded server did not answer this ${asked.method}.`))
  const nearest = { method: asked.method, name: asked.name, position: asked.position, frame: asked.ordinal, pointers: [] }
  return { ...error, data: { ...error.data, nearest } }
}

function explain(nearest: NearestCall | null, asked: Cue): string {
  if (nearest === null) return 'It holds no requests.'
  const call = `request ${nearest.position}, ${nearest.method}${nearest.name === null ? '' : ` ${nearest.name}`}`
  if (nearest.method !== asked.method) return `Next on it is ${call}.`
  if (nearest.pointers.length === 0) return `It is on the tape at another place: ${call}.`
  return `Closest is ${call}, which differs in ${nearest.pointers.map(pointer => pointer || 'its parameters').join(', ')}.`
}
