import type { TapeEvent } from '@maestro/contract'
import type { World } from '../../world.ts'
import type { Target } from './authority.ts'
import { connectionBurstSeconds, type EgressLimits } from './egress-limits.ts'

/** A place among the connections of one sandbox, from its request to its end. */
export interface Connection {
  readonly id: number
  /** Tells that it is open. From then on `cut` may be called, once, when it must end. */
  opened(cut: () => void): void
  /** Tells that it never came to be. */
  refused(outcome: string): void
  /** Counts bytes, towards the network and back. */
  sent(bytes: number): void
  received(bytes: number): void
  /** Tells that it is over. Only the first call counts. */
  ended(reason: string): void
}

/**
 * The connections of one sandbox: counts them, holds them to the limits, and tells the tape of each at its start and at its end.
 * A refusal for coming too often is told once a second, so that the tape does not grow with the attempts.
 */
export class Connections {
  readonly #world: World
  readonly #limits: EgressLimits
  readonly #report: (event: TapeEvent) => void
  #next = 1
  #open = 0
  readonly #ends = new Set<(reason: string) => void>()
  #upBytes = 0
  #downBytes = 0
  #allowance: number
  #allowanceMs: number
  #quietUntilMs = 0
  #toldOfTotal = false

  constructor(world: World, limits: EgressLimits, report: (event: TapeEvent) => void) {
    this.#world = world
    this.#limits = limits
    this.#report = report
    this.#allowance = limits.connectionsPerSecond * connectionBurstSeconds
    this.#allowanceMs = world.monotonicMs()
  }

  /** A place for one more, or the outcome of its refusal, which the tape knows already. */
  begin(target: Target | null): Connection | { denied: string } {
    const denied = this.#excess()
    if (denied !== null) {
      this.#tellExcess(target, denied)
      return { denied }
    }
    this.#open++
    return this.#place(this.#next++, target)
  }

  /** Ends all that are open. */
  endAll(reason: string): void {
    for (const end of [...this.#ends]) end(reason)
  }

  /** What never became a request. */
  refuse(outcome: string): void {
    const place = this.begin(null)
    if (!('denied' in place)) place.refused(outcome)
  }

  #excess(): string | null {
    const nowMs = this.#world.monotonicMs()
    const { connectionsPerSecond, connectionsMax, connectionsTotalMax, upBytesMax, downBytesMax } = this.#limits
    const earned = ((nowMs - this.#allowanceMs) / 1000) * connectionsPerSecond
    this.#allowance = Math.min(connectionsPerSecond * connectionBurstSeconds, this.#allowance + earned)
    this.#allowanceMs = nowMs
    if (this.#next > connectionsTotalMax) return `denied: limit of ${connectionsTotalMax} connections in all`
    if (this.#upBytes > upBytesMax) return `denied: limit of ${upBytesMax} bytes sent`
    if (this.#downBytes > downBytesMax) return `denied: limit of ${downBytesMax} bytes received`
    if (this.#open >= connectionsMax) return `denied: limit of ${connectionsMax} connections at once`
    if (this.#allowance < 1) return `denied: limit of ${connectionsPerSecond} connections a second`
    this.#allowance--
    return null
  }

  #tellExcess(target: Target | null, outcome: string): void {
    const nowMs = this.#world.monotonicMs()
    if (nowMs < this.#quietUntilMs || this.#toldOfTotal) return
    this.#quietUntilMs = nowMs + 1000
    this.#toldOfTotal = this.#next > this.#limits.connectionsTotalMax
    this.#report(startOf(target, outcome))
  }

  #place(id: number, target: Target | null): Connection {
    const beganMs = this.#world.monotonicMs()
    let upBytes = 0
    let downBytes = 0
    let state: 'new' | 'open' | 'over' = 'new'
    let cut = () => {}
    let cancelLife = () => {}
    const ended = (reason: string) => {
      if (state !== 'open') return
      state = 'over'
      this.#open--
      this.#ends.delete(end)
      cancelLife()
      const ms = Math.round(this.#world.monotonicMs() - beganMs)
      this.#report({ name: 'egress.closed', connection: id, ...hostOf(target), upBytes, downBytes, ms, reason })
    }
    const end = (reason: string) => {
      if (state !== 'open') return
      ended(reason)
      cut()
    }
    return {
      id,
      opened: stop => {
        if (state !== 'new') return
        state = 'open'
        cut = stop
        this.#ends.add(end)
        this.#report({ ...startOf(target, 'connected'), connection: id })
        cancelLife = this.#world.after(this.#limits.lifeMsMax, () => end(`limit of ${this.#limits.lifeMsMax} ms`))
      },
      refused: outcome => {
        if (state !== 'new') return
        state = 'over'
        this.#open--
        this.#report(startOf(target, outcome))
      },
      sent: bytes => {
        upBytes += bytes
        this.#upBytes += bytes
        if (this.#upBytes > this.#limits.upBytesMax) end(`limit of ${this.#limits.upBytesMax} bytes sent`)
      },
      received: bytes => {
        downBytes += bytes
        this.#downBytes += bytes
        if (this.#downBytes > this.#limits.downBytesMax) end(`limit of ${this.#limits.downBytesMax} bytes received`)
      },
      ended,
    }
  }
}

const hostOf = (target: Target | null) => ({ host: target?.host ?? '', port: target?.port ?? 0 })
const startOf = (target: Target | null, outcome: string) => ({ name: 'egress' as const, ...hostOf(target), outcome })
