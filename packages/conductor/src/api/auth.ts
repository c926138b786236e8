import { ConductorError } from '@maestro/contract'
import type { FastifyRequest } from 'fastify'
import type { Policy } from '../session/stages.ts'
import type { ConsoleSessions } from '../tenancy/console-sessions.ts'

export const cookieName = 'maestro_console'

interface Parts {
  policy: Policy
  isOperatorKey(key: string): boolean
  consoleSessions: Pick<ConsoleSessions, 'has'>
  /** Origins whose pages may act with the cookie. */
  ownOrigins(): readonly string[]
}

/**
 * Lets the operator in: by the operator key, by a capability that carries operator rights, or by the console's cookie.
 * A cookie counts only for same-origin requests, so that no other page can act with it.
 */
export function createOperatorCheck(parts: Parts): (request: FastifyRequest) => Promise<void> {
  return async request => {
    const header = request.headers.authorization
    if (header !== undefined) {
      const token = /^Bearer ([\x21-\x7e]{1,8192})$/i.exec(header)?.[1]
      if (token !== undefined) {
        if (parts.isOperatorKey(token)) return
        // Only a JWT has dots; anything else is a wrong key and must not be reported as a bad token.
        if (token.split('.').length === 3 && (await parts.policy.verify(token)).operator) return
      }
      throw new ConductorError('operator_required', 'The authorization given is not the operator’s.')
    }
    const cookie = cookieOf(request.headers.cookie)
    if (cookie !== null && isSameOrigin(request, parts.ownOrigins()) && parts.consoleSessions.has(cookie)) return
    throw new ConductorError('operator_required', 'This call needs the operator key or a console sign-in.')
  }
}

function cookieOf(header: string | undefined): string | null {
  for (const pair of header?.split(';') ?? []) {
    const [name, value] = pair.trim().split('=')
    if (name === cookieName && value) return value
  }
  return null
}

function isSameOrigin(request: FastifyRequest, own: readonly string[]): boolean {
  const { origin } = request.headers
  if (origin !== undefined) return own.includes(origin)
  const site = request.headers['sec-fetch-site']
  return site === undefined || site === 'same-origin' || site === 'none'
}
