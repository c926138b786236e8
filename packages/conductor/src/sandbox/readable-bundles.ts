import { join } from 'node:path'
import { ConductorError } from '@maestro/contract'
import { makeReadable } from './make-readable.ts'
import type { SandboxSpec } from './sandbox.ts'

/** Bundles that everybody can read by now: each is looked at once, and again only where that failed. */
export class ReadableBundles {
  readonly #done = new Map<string, Promise<void>>()

  /** Throws `sandbox_start_failed` where the bundle cannot be made readable. */
  ensure({ id, bundle, program }: Pick<SandboxSpec, 'id' | 'bundle' | 'program'>): Promise<void> {
    const key = join(bundle, program.entry)
    let done = this.#done.get(key)
    if (!done) {
      done = makeReadable(bundle, program.entry).catch(cause => {
        this.#done.delete(key)
        throw new ConductorError('sandbox_start_failed', `the bundle of ${id} cannot be read`, { sandbox: id }, cause)
      })
      this.#done.set(key, done)
    }
    return done
  }
}
