/** Capability tokens: RFC 9068 access tokens, signed with Ed25519, that carry RFC 9396 authorization details. */
import { createHash } from 'node:crypto'
import {
  type CapabilityId,
  ConductorError,
  type DeploymentId,
  invariant,
  makeId,
  parseId,
  type TenantId,
} from '@maestro/contract'
import { CompactSign, compactVerify } from 'jose'
import type { Capability } from '../session/stages.ts'
import type { World } from '../world.ts'
import { openSigningKey } from './signing-key.ts'

export const ttlMsMax = 15 * 60_000

/** How far another machine's clock may be ahead of ours when it says a token was just made. */
const skewMs = 5_000
const rememberedMax = 10_000
const tokenCharsMax = 8_192
const toolsMax = 512

export interface TokenRequest {
  tenant: TenantId
  deployment: DeploymentId
  /** Tools it may call and see; `*` means all. */
  tools: '*' | readonly string[]
  /** Who will use it. */
  subject: string
  /** At most 15 minutes, which is also what is taken where it is absent. */
  ttlMs?: number
  /** Whether it may also use the API as the operator. */
  operator?: boolean
  /** The MCP URL of the deployment (RFC 8707 resource). */
  audience: string
}

/** A verified token and the one resource it is for. */
export interface VerifiedCapability extends Capability {
  audience: string
}

export interface Tokens {
  /** `expiresAt` is Unix ms. */
  mint(request: TokenRequest): Promise<{ token: string; expiresAt: number; id: CapabilityId }>
  /** Throws `capability_invalid` or `capability_expired`. The caller compares `deployment` (and `audience`) with what is asked for. */
  verify(token: string): Promise<VerifiedCapability>
}

/**
 * Opens the signing key (made on the first start) and returns what mints and verifies with it. Only tokens of this issuer,
 * type, algorithm and key are accepted; a signature is checked once per token, its expiry on every use.
 */
export async function createTokens(options: { keyFile: string; world: World; issuer: string }): Promise<Tokens> {
  const { keyFile, world, issuer } = options
  const { privateKey, publicKey, kid } = await openSigningKey(keyFile)
  const remembered = new Map<string, VerifiedCapability>()

  const checkSignature = async (token: string): Promise<VerifiedCapability> => {
    if (!isCanonical(token)) throw invalid()
    const { payload, protectedHeader } = await compactVerify(token, publicKey, { algorithms: ['EdDSA'] }).catch(error => {
      throw invalid(error)
    })
    if (protectedHeader.typ !== 'at+jwt' || protectedHeader.kid !== kid) throw invalid()
    return readClaims(payload, issuer, world.now())
  }

  return {
    mint: async request => {
      const nowMs = world.now()
      const ttlMs = Math.min(request.ttlMs ?? ttlMsMax, ttlMsMax)
      invariant(ttlMs > 0, 'a capability that is never valid was asked for')
      invariant(request.tools === '*' || request.tools.length <= toolsMax, 'more tools than a token holds')
      const iat = Math.floor(nowMs / 1000)
      const exp = Math.min(Math.ceil((nowMs + ttlMs) / 1000), iat + ttlMsMax / 1000)
      const id = makeId('cap', nowMs, world.randomBytes(11))
      const claims: Claims = {
        iss: issuer,
        aud: request.audience,
        sub: request.subject,
        jti: id,
        iat,
        exp,
        tenant: request.tenant,
        authorization_details: [
          { type: 'mcp_tool', deployment: request.deployment, tools: request.tools === '*' ? ['*'] : [...request.tools] },
        ],
        ...(request.operator ? { scope: 'operator' } : {}),
      }
      const token = await new CompactSign(Buffer.from(JSON.stringify(claims)))
        .setProtectedHeader({ alg: 'EdDSA', typ: 'at+jwt', kid })
        .sign(privateKey)
      if (token.length > tokenCharsMax) {
        throw new ConductorError(
          'request_malformed',
          'The names of the tools are too much for one token. Name fewer, or none for all.',
        )
      }
      return { token, expiresAt: exp * 1000, id }
    },
    verify: async token => {
      if (token.length > tokenCharsMax) throw invalid()
      // By digest, so that the memory of what was verified is not a list of usable tokens.
      const digest = createHash('sha256').update(token).digest('base64url')
      const capability = remembered.get(digest) ?? (await checkSignature(token))
      remembered.delete(digest)
      if (world.now() >= capability.expiresAt) {
        throw new ConductorError('capability_expired', 'The capability token has expired.', { expiresAt: capability.expiresAt })
      }
      remembered.set(digest, capability)
      if (remembered.size > rememberedMax) remembered.delete(remembered.keys().next().value ?? digest)
      return capability
    },
  }
}

interface Claims {
  iss: string
  aud: string
  sub: string
  jti: string
  iat: number
  exp: number
  tenant: string
  authorization_details: { type: 'mcp_tool'; deployment: string; tools: string[] }[]
  scope?: string
}

/** The signature is ours, so anything unexpected here was signed for another purpose, or by a newer Conductor. */
function readClaims(payload: Uint8Array, issuer: string, nowMs: number): VerifiedCapability {
  const claims = parseObject(payload)
  const { iss, aud, sub, jti, iat, exp, nbf, tenant, scope, authorization_details: details } = claims
  const [detail, ...more] = Array.isArray(details) ? (details as Record<string, unknown>[]) : []
  const id = typeof jti === 'string' ? parseId('cap', jti) : null
  const tenantId = typeof tenant === 'string' ? parseId('ten', tenant) : null
  const deployment = typeof detail?.['deployment'] === 'string' ? parseId('dep', detail['deployment']) : null
  const tools = readTools(detail?.['tools'])
  if (iss !== issuer || typeof aud !== 'string' || typeof sub !== 'string' || !id || !tenantId) throw invalid()
  if (!detail || more.length > 0 || detail['type'] !== 'mcp_tool' || !deployment || !tools) throw invalid()
  if (typeof iat !== 'number' || typeof exp !== 'number' || (exp - iat) * 1000 > ttlMsMax) throw invalid()
  if (iat * 1000 > nowMs + skewMs || (nbf !== undefined && !(Number(nbf) * 1000 <= nowMs + skewMs))) throw invalid()
  if (scope !== undefined && typeof scope !== 'string') throw invalid()
  const operator = scope?.split(' ').includes('operator') ?? false
  return { id, tenant: tenantId, subject: sub, deployment, tools, expiresAt: exp * 1000, operator, audience: aud }
}

function parseObject(payload: Uint8Array): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(Buffer.from(payload).toString('utf8'))
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  } catch {
    // Not JSON: refused below like everything else that is not a set of claims.
  }
  throw invalid()
}

function readTools(value: unknown): '*' | ReadonlySet<string> | null {
  if (!Array.isArray(value) || value.length > toolsMax || !value.every(tool => typeof tool === 'string')) return null
  return value.length === 1 && value[0] === '*' ? '*' : new Set(value)
}

/** One capability, one spelling: base64url decoders take several strings for the same bytes. */
function isCanonical(token: string): boolean {
  const parts = token.split('.')
  return parts.length === 3 && parts.every(part => part !== '' && Buffer.from(part, 'base64url').toString('base64url') === part)
}

function invalid(cause?: unknown): ConductorError {
  return new ConductorError('capability_invalid', 'The capability token is not valid here.', {}, cause)
}
