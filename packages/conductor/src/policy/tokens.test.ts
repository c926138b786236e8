/**
 * Goal: no token but the one that was minted, unaltered, for its issuer and in its time, is ever accepted.
 * Method: a misuse suite of forged, altered, borrowed and stale tokens, with a clock that moves only when told.
 */
import assert from 'node:assert/strict'
import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto'
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { type DeploymentId, localTenant } from '@maestro/contract'
import fc from 'fast-check'
import { CompactSign } from 'jose'
import { realWorld, type World } from '../world.ts'
import { createPolicy } from './policy.ts'
import { createTokens, type TokenRequest } from './tokens.ts'

const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
const issuer = 'http://127.0.0.1:8460'
const request: TokenRequest = {
  tenant: localTenant,
  deployment: 'dep_00000000000000000one' as DeploymentId,
  tools: ['read', 'list'],
  subject: 'agent-7',
  audience: 'http://127.0.0.1:8460/mcp/files',
}

const folder = mkdtempSync(join(tmpdir(), 'tokens-'))
const keyFile = join(folder, 'keys', 'signing.pem')
const quiet = { info() {}, warn() {}, error() {}, with: () => quiet }
let nowMs = 1_790_000_000_500
const world: World = { ...realWorld(quiet), now: () => nowMs }
const tokens = await createTokens({ keyFile, world, issuer })

test.before(() => console.log(`SEED=${seed}`))
test.after(() => rmSync(folder, { recursive: true }))

const partsOf = (token: string) => token.split('.') as [string, string, string]
const decode = (part: string) => JSON.parse(Buffer.from(part, 'base64url').toString())
const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
const refused = (token: string, code = 'capability_invalid') => assert.rejects(tokens.verify(token), { code })

/** Signs with the true key what the true Conductor would never sign. */
async function signed(change: Record<string, unknown>, header: Record<string, unknown> = {}): Promise<string> {
  const [head, payload] = partsOf((await tokens.mint(request)).token)
  return new CompactSign(Buffer.from(JSON.stringify({ ...decode(payload), ...change })))
    .setProtectedHeader({ ...decode(head), ...header })
    .sign(createPrivateKey(readFileSync(keyFile)))
}

test('a minted token verifies to what was asked for', async () => {
  const { token, expiresAt, id } = await tokens.mint({ ...request, ttlMs: 60_000 })
  assert.deepEqual(await tokens.verify(token), {
    id,
    tenant: localTenant,
    subject: 'agent-7',
    deployment: request.deployment,
    tools: new Set(['read', 'list']),
    expiresAt,
    operator: false,
    audience: request.audience,
  })
  assert.match(id, /^cap_[0-9a-z]{20}$/)
  assert.ok(expiresAt >= nowMs + 60_000 && expiresAt < nowMs + 61_000)
})

test('a token is what the specifications say', async () => {
  const [head, payload] = partsOf((await tokens.mint({ ...request, tools: '*', operator: true })).token)
  const { kid, ...header } = decode(head)
  assert.deepEqual(header, { alg: 'EdDSA', typ: 'at+jwt' })
  assert.match(kid, /^[\w-]{43}$/)
  const { jti, iat, exp, ...claims } = decode(payload)
  assert.deepEqual(claims, {
    iss: issuer,
    aud: request.audience,
    sub: 'agent-7',
    tenant: localTenant,
    authorization_details: [{ type: 'mcp_tool', deployment: request.deployment, tools: ['*'] }],
    scope: 'operator',
  })
  assert.equal(exp - iat, 900)
})

test('all tools and the operator are granted only where asked for', async () => {
  const wide = await tokens.verify((await tokens.mint({ ...request, tools: '*', operator: true })).token)
  assert.equal(wide.tools, '*')
  assert.equal(wide.operator, true)
  const narrow = await tokens.verify((await tokens.mint({ ...request, tools: [] })).token)
  assert.deepEqual(narrow.tools, new Set())
})

test('no token lives longer than 15 minutes', async () => {
  const { expiresAt } = await tokens.mint({ ...request, ttlMs: 86_400_000 })
  assert.ok(expiresAt <= nowMs + 900_000, String(expiresAt - nowMs))
  await refused(await signed({ exp: Math.floor(nowMs / 1000) + 901 }))
})

test('a token that would be too long to be verified is not minted', async () => {
  const tools = Array.from({ length: 500 }, (_, index) => `${'x'.repeat(100)}${index}`)
  await assert.rejects(tokens.mint({ ...request, tools }), { code: 'request_malformed' })
})

test('a token that was verified before is refused from the moment it expires', async () => {
  const started = nowMs
  const { token, expiresAt } = await tokens.mint({ ...request, ttlMs: 1_000 })
  await tokens.verify(token)
  nowMs = expiresAt - 1
  await tokens.verify(token)
  nowMs = expiresAt
  await refused(token, 'capability_expired')
  await refused(token, 'capability_expired')
  nowMs = started
})

test('an expired token with a broken signature is invalid, not expired', async () => {
  const [head, payload, signature] = partsOf(await signed({ exp: Math.floor(nowMs / 1000) - 10 }))
  await refused(`${head}.${payload}.${signature}`, 'capability_expired')
  await refused(`${head}.${payload}.${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`)
})

test('a clock ahead of ours by more than 5 s is refused', async () => {
  const second = Math.floor(nowMs / 1000)
  await tokens.verify(await signed({ iat: second + 5, exp: second + 60 }))
  await refused(await signed({ iat: second + 6, exp: second + 60 }))
  await refused(await signed({ nbf: second + 6 }))
  await refused(await signed({ nbf: 'soon' }))
})

test('an unsigned token is refused', async () => {
  const [head, payload] = partsOf((await tokens.mint(request)).token)
  const none = encode({ ...decode(head), alg: 'none' })
  await refused(`${none}.${payload}.`)
  await refused(`${none}.${payload}.AAAA`)
  await refused(`${head}.${payload}.`)
  await refused(`${head}.${payload}`)
})

test('a token signed by HMAC with the public key is refused', async () => {
  const [head, payload] = partsOf((await tokens.mint(request)).token)
  const publicKey = createPublicKey(readFileSync(keyFile))
  for (const secret of [publicKey.export({ type: 'spki', format: 'pem' }), publicKey.export({ type: 'spki', format: 'der' })]) {
    const forged = await new CompactSign(Buffer.from(payload, 'base64url'))
      .setProtectedHeader({ ...decode(head), alg: 'HS256' })
      .sign(Buffer.from(secret))
    await refused(forged)
  }
})

test('a token signed with another key is refused, whatever key id or key it brings along', async () => {
  const [head, payload] = partsOf((await tokens.mint(request)).token)
  const other = generateKeyPairSync('ed25519')
  const jwk = other.publicKey.export({ format: 'jwk' })
  for (const extra of [{}, { jwk }, { kid: 'other' }, { jku: 'http://127.0.0.1/keys' }]) {
    const forged = await new CompactSign(Buffer.from(payload, 'base64url'))
      .setProtectedHeader({ ...decode(head), ...extra } as never)
      .sign(other.privateKey)
    await refused(forged)
  }
})

test('another issuer, type, key id or critical header is refused', async () => {
  await refused(await signed({ iss: 'http://127.0.0.1:9999' }))
  await refused(await signed({}, { typ: 'JWT' }))
  await refused(await signed({}, { typ: undefined }))
  await refused(await signed({}, { kid: 'other' }))
  const [head, payload, signature] = partsOf((await tokens.mint(request)).token)
  await refused(`${encode({ ...decode(head), crit: ['x'], x: 1 })}.${payload}.${signature}`)
})

test('claims of another shape are refused', async () => {
  const detail = { type: 'mcp_tool', deployment: request.deployment, tools: ['*'] }
  const changes: Record<string, unknown>[] = [
    { aud: undefined },
    { aud: [request.audience, 'http://elsewhere'] },
    { sub: undefined },
    { jti: 'cap_1' },
    { tenant: 'acme' },
    { exp: undefined },
    { exp: 'never' },
    { iat: undefined },
    { scope: ['operator'] },
    { authorization_details: undefined },
    { authorization_details: [] },
    { authorization_details: [detail, detail] },
    { authorization_details: [null] },
    { authorization_details: [{ ...detail, type: 'payment' }] },
    { authorization_details: [{ ...detail, deployment: 'files' }] },
    { authorization_details: [{ ...detail, tools: '*' }] },
    { authorization_details: [{ ...detail, tools: [1] }] },
    { authorization_details: [{ ...detail, tools: undefined }] },
  ]
  for (const change of changes) await refused(await signed(change))
})

test('a copy made wider is refused', async () => {
  const [head, payload, signature] = partsOf((await tokens.mint(request)).token)
  const claims = decode(payload)
  const [detail] = claims.authorization_details
  const wider = [
    { ...claims, authorization_details: [{ ...detail, tools: ['*'] }] },
    { ...claims, authorization_details: [{ ...detail, deployment: 'dep_00000000000000000two' }] },
    { ...claims, scope: 'operator' },
    { ...claims, exp: claims.exp + 60 },
    { ...claims, tenant: 'ten_0000000000000000acme' },
    { ...claims, aud: 'http://127.0.0.1:8460/mcp/other' },
  ]
  for (const copy of wider) await refused(`${head}.${encode(copy)}.${signature}`)
})

test('a token with any character changed, added or taken away is refused', async () => {
  const { token } = await tokens.mint(request)
  const letters = 'ABCXYZabcxyz0189-_.=+/ \n\u00e9'
  await fc.assert(
    fc.asyncProperty(fc.nat(token.length - 1), fc.nat(letters.length - 1), fc.constantFrom(0, 1), async (at, letter, taken) => {
      const altered = token.slice(0, at) + letters[letter] + token.slice(at + taken)
      if (altered !== token) await refused(altered)
    }),
    { seed, numRuns: 300 },
  )
  for (const end of [token.slice(0, -1), `${token}A`, `${token}=`, `${token}.`, ` ${token}`, '', '.', '..', 'a.b.c'])
    await refused(end)
})

test('any text is refused with a code, never with a crash', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(
        fc.string(),
        fc.string().map(text => `${encode(text)}.${encode(text)}.AAAA`),
      ),
      refused as never,
    ),
    { seed, numRuns: 200 },
  )
  await refused('A'.repeat(1_000_000))
})

test('many tokens are told apart, first and second time', async () => {
  const many = await Promise.all(Array.from({ length: 50 }, () => tokens.mint(request)))
  for (const { token, id } of [...many, ...many]) assert.equal((await tokens.verify(token)).id, id)
})

test('the key is made once, for its owner’s eyes only, and a second start verifies what the first minted', async () => {
  assert.equal(statSync(keyFile).mode & 0o777, 0o600)
  assert.equal(statSync(join(folder, 'keys')).mode & 0o777, 0o700)
  chmodSync(keyFile, 0o644)
  const { token, id } = await tokens.mint(request)
  const again = await createTokens({ keyFile, world, issuer })
  assert.equal((await again.verify(token)).id, id)
  assert.equal(statSync(keyFile).mode & 0o777, 0o600)
})

test('two that start together share one key', async () => {
  const shared = join(folder, 'shared', 'signing.pem')
  const [one, two] = await Promise.all([1, 2].map(() => createTokens({ keyFile: shared, world, issuer })))
  await two!.verify((await one!.mint(request)).token)
})

test('a key file that holds something else is refused without being shown', async () => {
  const wrong = join(folder, 'wrong.pem')
  for (const text of ['hunter2', generateKeyPairSync('x25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()]) {
    writeFileSync(wrong, text)
    const error = await createTokens({ keyFile: wrong, world, issuer }).catch(error => error)
    assert.equal(error.code, 'config_invalid')
    assert.ok(!JSON.stringify([error.message, error.facts, String(error.cause)]).includes(text))
  }
})

test('the policy judges with the clock of its world', async () => {
  const started = nowMs
  const policy = createPolicy(tokens, world)
  const { token, expiresAt } = await tokens.mint(request)
  const capability = await policy.verify(token)
  assert.deepEqual(policy.judge(capability, 'tools/call', 'read'), { verdict: 'allow' })
  assert.equal(policy.judge(capability, 'tools/call', 'write').verdict, 'deny')
  nowMs = expiresAt
  const late = policy.judge(capability, 'tools/call', 'read')
  assert.equal(late.verdict === 'deny' && late.code, 'capability_expired')
  nowMs = started
})
