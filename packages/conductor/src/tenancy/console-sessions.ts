import { createHash } from 'node:crypto'
import { ConductorError } from '@maestro/contract'
import type { World } from '../world.ts'
import type { OperatorKey } from './operator-key.ts'

/** How long the console stays signed in, ms. */
export const consoleSessionMsMax = 12 * 60 * 60_000

const sessionsMax = 1_000

export interface ConsoleSessions {
  /** Exchanges the operator key for a cookie value of 256 random bits. Throws `operator_required` for another key. */
  open(key: string): { cookie: string; expiresAt: number }
  /** Whether the cookie value is of a session that has not ended. */
  has(cookie: string): boolean
  close(cookie: string): void
}

/** Console sessions live in memory, by digest: a copy of our memory signs nobody in, a restart signs everybody out. */
export function createConsoleSessions(operatorKey: Pick<OperatorKey, 'matches'>, world: World): ConsoleSessions {
  const expiries = new Map<string, number>()
  return {
    open: key => {
      if (!operatorKey.matches(key))
        throw new ConductorError('operator_required', 'That is not the operator key of this Conductor.')
      for (const [digest, expiresAt] of expiries) if (expiresAt <= world.now()) expiries.delete(digest)
      const [oldest] = expiries.keys()
      if (expiries.size >= sessionsMax && oldest !== undefined) expiries.delete(oldest)
      const cookie = Buffer.from(world.randomBytes(32)).toString('base64url')
      const expiresAt = world.now() + consoleSessionMsMax
      expiries.set(digestOf(cookie), expiresAt)
      return { cookie, expiresAt }
    },
    has: cookie => (expiries.get(digestOf(cookie)) ?? 0) > world.now(),
    close: cookie => {
      expiries.delete(digestOf(cookie))
    },
  }
}

function digestOf(cookie: string): string {
  return createHash('sha256').update(cookie).digest('base64url')
}
