import { ConductorError, rpcErrorOf } from '@maestro/contract'
import { idTextOf, type RpcError, writeError } from '../frame/answer-error.ts'
import { type Frame, readFrame } from '../frame/read-frame.ts'
import { membersOf, type Span } from '../frame/scan.ts'
import { replaceValue, splice } from '../frame/splice.ts'
import type { Recording } from '../recording/read.ts'
import { valueDifferences } from './diverge.ts'
import { answerMissError, missError, unansweredError } from './stub-miss.ts'
import { answerOf, type Cue, cueOf, planStub } from './stub-plan.ts'

/**
 * `strict-sequence`: the n-th request must be the n-th recorded one. `ordered-pool`: any recorded call that was not
 * used yet, in the order of the tape. `sticky`: the same, and the last of equal calls answers for ever.
 */
export type StubStrategy = 'strict-sequence' | 'ordered-pool' | 'sticky'

/** A recorded server that answers. A pure state machine: frames in, frames out. */
export interface Stub {
  /** What the server said before it was asked anything. Call once, first. */
  open(): Uint8Array[]
  /** Takes one frame of the client and returns what the server says now, in order. Untrusted; never throws. */
  receive(bytes: Uint8Array): Uint8Array[]
}

/** One recorded call that is being played to the client who asked for it. */
interface Performance {
  cue: Cue
  step: number
  /** Id and progress token as the client wrote them, in JSON; null where there is none. */
  idText: string | null
  tokenText: string | null
  /** The client’s answers that came before the tape waits for them, by the question’s id. */
  answers: Map<string, Frame>
}

/**
 * Answers a client from a recording. A call is known by method, canonical parameters without `_meta`, and its place;
 * what the tape does not hold is answered with the error `stub_miss`, never guessed. `initialize` is known by its
 * method alone and `ping` is always answered: a client other than the recorded one is still that, another client.
 */
export function createStub(recording: Recording, strategy: StubStrategy = 'strict-sequence'): Stub {
  const plan = planStub(recording)
  const byKey = Map.groupBy(plan.requests, cue => cue.key)
  const notifications = Map.groupBy(plan.notifications, cue => cue.method)
  const waiting = new Map<string, Performance>()
  let next = 0

  const take = (asked: Cue): Cue | null => {
    if (strategy === 'strict-sequence') {
      const cue = plan.requests[next]
      if (cue?.key !== asked.key) return null
      next++
      return cue
    }
    const same = byKey.get(asked.key)
    if (!same?.[0]) return null
    next++
    return strategy === 'sticky' && same.length === 1 ? same[0] : same.shift()!
  }

  const request = (frame: Frame): Uint8Array[] => {
    const idText = idTextOf(frame)
    const asked = cueOf(frame, next, -1)
    const cue = take(asked)
    if (cue) {
      return perform({ cue, step: 0, idText, tokenText: tokenTextOf(frame), answers: new Map() })
    }
    if (asked.method === 'ping') return [encoder.encode(`{"jsonrpc":"2.0","id":${idText},"result":{}}`)]
    return [writeError(idText, missError(asked, plan.requests, next))]
  }

  const notification = (frame: Frame): Uint8Array[] => {
    // By method alone: what a client cancels or reports bears its own ids.
    const cue = notifications.get(frame.method!)?.shift()
    if (!cue) return []
    return perform({ cue, step: 0, idText: null, tokenText: null, answers: new Map() })
  }

  const response = (frame: Frame): Uint8Array[] => {
    const performance = waiting.get(frame.idKey ?? '')
    if (!performance) return []
    waiting.delete(frame.idKey!)
    performance.answers.set(frame.idKey!, frame)
    return perform(performance)
  }

  /** Plays on until the end or until the tape waits for the client. */
  const perform = (performance: Performance): Uint8Array[] => {
    const said: Uint8Array[] = []
    const { cue, idText, answers } = performance
    const end = (error: RpcError) => {
      performance.step = cue.steps.length
      if (idText !== null) said.push(writeError(idText, error))
    }
    for (let step = cue.steps[performance.step]; step; step = cue.steps[performance.step]) {
      if (step.do === 'await') {
        const answer = answers.get(step.question)
        if (!answer) break
        const differences = valueDifferences(step.answer ?? null, answerOf(answer) ?? null, 20).map(({ pointer }) => pointer)
        if (differences.length > 0) {
          end(answerMissError(cue, differences))
          break
        }
      } else if (step.do === 'fail') {
        end(unansweredError(cue))
        break
      } else {
        const bytes = restamp(step.frame, performance)
        if (bytes) said.push(bytes)
        if (step.frame.kind === 'request') waiting.set(step.frame.idKey!, performance)
      }
      performance.step++
    }
    return said
  }

  return {
    open: () => plan.opening.map(frame => frame.bytes),
    receive(bytes) {
      const frame = readFrame(bytes)
      if (frame.kind === 'fault') {
        if (frame.id === null) return []
        return [writeError(JSON.stringify(frame.id), rpcErrorOf(new ConductorError(frame.code, frame.message)))]
      }
      if (frame.kind === 'request') return request(frame)
      return frame.kind === 'response' ? response(frame) : notification(frame)
    },
  }
}

/** The recorded bytes with the asking client’s id or progress token in place of the recorded one. Null: it asked for no progress. */
function restamp(frame: Frame, { idText, tokenText }: Performance): Uint8Array | null {
  if (frame.kind === 'response') {
    return frame.idSpan && idText !== null ? splice(frame.bytes, [replaceValue(frame.idSpan, idText)]) : frame.bytes
  }
  if (frame.method !== 'notifications/progress') return frame.bytes
  const span = memberOf(frame.bytes, frame.members, 'params', 'progressToken')
  return span && tokenText !== null ? splice(frame.bytes, [replaceValue(span, tokenText)]) : null
}

function tokenTextOf(frame: Frame): string | null {
  if (frame.progressKey === null) return null
  const span = memberOf(frame.bytes, frame.members, 'params', '_meta', 'progressToken')
  return span && decoder.decode(frame.bytes.subarray(span.start, span.end))
}

function memberOf(bytes: Uint8Array, members: Frame['members'], ...path: string[]): Span | null {
  let within: readonly { key: string; start: number; end: number }[] = members
  let found: Span | null = null
  for (const [depth, key] of path.entries()) {
    if (depth > 0) {
      const inner = membersOf(bytes, found!.start)
      if (typeof inner === 'string') return null
      within = inner
    }
    found = within.findLast(member => member.key === key) ?? null
    if (!found) return null
  }
  return found
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()
