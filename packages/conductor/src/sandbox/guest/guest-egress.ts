import { readFile, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import type { TapeEvent } from '@maestro/contract'
import type { World } from '../../world.ts'
import { type EgressProxy, openEgressProxy } from '../egress/egress-proxy.ts'
import type { EgressRules } from '../egress/egress-rules.ts'
import { makeRunFolder } from '../owner.ts'
import type { SandboxSpec } from '../sandbox.ts'

interface Listening {
  report(event: TapeEvent): void
}

/** The way out of one guest: the agent relays connections over its channel (`relay.ts`), and each ends at a proxy of the session's own. */
export class GuestEgress {
  /** The certificate of the session's CA, where connections are recorded. */
  readonly ca: Uint8Array | null
  readonly #folder: string
  readonly #proxy: EgressProxy
  readonly #listening: Listening

  private constructor(folder: string, proxy: EgressProxy, ca: Uint8Array | null, listening: Listening) {
    this.#folder = folder
    this.#proxy = proxy
    this.ca = ca
    this.#listening = listening
  }

  /** Null for a sandbox that may reach nothing. */
  static async open(spec: SandboxSpec, rules: EgressRules, world: World): Promise<GuestEgress | null> {
    if (spec.egress.length === 0) return null
    const folder = makeRunFolder()
    const listening: Listening = { report: () => {} }
    try {
      const proxy = await openEgressProxy({
        path: join(folder, 'egress.sock'),
        allow: spec.egress,
        record: spec.egressRecord ?? false,
        env: { ...spec.masked, ...spec.env },
        rules,
        world,
        report: event => listening.report(event),
      })
      return new GuestEgress(folder, proxy, proxy.caPath === null ? null : await readFile(proxy.caPath), listening)
    } catch (cause) {
      await rm(folder, { recursive: true, force: true })
      throw cause
    }
  }

  /** The spec with what makes programs use the way out. The same for every session, but for the certificate. */
  enrich(spec: SandboxSpec): SandboxSpec {
    return { ...spec, env: { ...this.#proxy.environment, ...spec.env } }
  }

  /** The outer end of a connection that leaves the guest. */
  dial(): Duplex {
    return connect({ path: this.#proxy.path, allowHalfOpen: true })
  }

  /** From now on its events go there. */
  reportTo(sandbox: Listening): void {
    this.#listening.report = event => sandbox.report(event)
  }

  async close(): Promise<void> {
    await this.#proxy.close()
    await rm(this.#folder, { recursive: true, force: true })
  }
}
