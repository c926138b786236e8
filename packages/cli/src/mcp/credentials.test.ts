import assert from 'node:assert/strict'
import test from 'node:test'
import type { Client } from '../client.ts'
import { deploymentCredentials } from './credentials.ts'

function minting(ttlMs: number) {
  let minted = 0
  let failing = false
  const client = {
    call: async () => {
      if (failing) throw new Error('away')
      return { token: `t${++minted}`, mcpUrl: 'http://127.0.0.1:1/mcp/x', expiresAt: Date.now() + ttlMs }
    },
  } as unknown as Client
  const credentials = deploymentCredentials('x', 'test', async () => client)
  return { credentials, minted: () => minted, fail: (now: boolean) => (failing = now) }
}

test('a token is used until shortly before it expires, and made once however many ask', async () => {
  const { credentials, minted } = minting(900_000)
  const all = await Promise.all([credentials.current(), credentials.current(), credentials.current()])
  assert.deepEqual(
    all.map(({ token }) => token),
    ['t1', 't1', 't1'],
  )
  assert.equal(minted(), 1)
})

test('a token about to expire is made anew', async () => {
  const { credentials } = minting(0)
  assert.equal((await credentials.current()).token, 't1')
  assert.equal((await credentials.current()).token, 't2')
})

test('a dropped token is made anew, and a failure is not kept', async () => {
  const { credentials, fail } = minting(900_000)
  await credentials.current()
  credentials.drop()
  fail(true)
  await assert.rejects(credentials.current(), /away/)
  fail(false)
  assert.equal((await credentials.current()).token, 't2')
})
