import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import type { World } from '../../world.ts'
import { AddressRules } from './addresses.ts'
import { AllowList } from './allow-list.ts'
import type { Target } from './authority.ts'
import type { EgressRules } from './egress-rules.ts'

export type Judgement = { ok: true; addresses: string[] } | Refusal
export interface Refusal {
  ok: false
  status: 400 | 403 | 429 | 502 | 501
  outcome: string
}

const resolveMsMax = 10_000
const addressesMax = 64

/**
 * Judges where a connection may go. A name is resolved here, once, and the connection goes to an address that was checked: a name that
 * answers differently the second time gains nothing.
 */
export class Gate {
  readonly #world: World
  readonly #allowList: AllowList
  readonly #addresses: AddressRules
  readonly #isOwn: (address: string, port: number) => boolean
  readonly #resolve: (host: string) => Promise<string[]>

  constructor(world: World, allow: readonly string[], rules: EgressRules) {
    this.#world = world
    this.#allowList = new AllowList(allow)
    this.#addresses = new AddressRules(rules.allowPrivate)
    this.#isOwn = rules.isOwn ?? (() => false)
    this.#resolve = rules.resolve ?? resolveBySystem
  }

  async judge(target: Target): Promise<Judgement> {
    if (!this.#allowList.allows(target)) return { ok: false, status: 403, outcome: 'denied: not on the allow-list' }
    const addresses = isIP(target.host) ? [target.host] : await this.#resolveInTime(target.host)
    if (!addresses || addresses.length === 0) return { ok: false, status: 502, outcome: 'failed: name not found' }
    // One private address among public ones is as suspicious as a private one alone.
    if (addresses.length > addressesMax || !addresses.every(address => this.#addresses.permits(address))) {
      return { ok: false, status: 403, outcome: 'denied: not a public address' }
    }
    if (addresses.some(address => this.#isOwn(address, target.port))) {
      return { ok: false, status: 403, outcome: 'denied: Conductor’s own address' }
    }
    return { ok: true, addresses }
  }

  async #resolveInTime(host: string): Promise<string[] | null> {
    return new Promise(done => {
      const cancel = this.#world.after(resolveMsMax, () => done(null))
      this.#resolve(host)
        .then(done, () => done(null))
        .finally(cancel)
    })
  }
}

async function resolveBySystem(host: string): Promise<string[]> {
  return (await lookup(host, { all: true, verbatim: true })).map(found => found.address)
}
