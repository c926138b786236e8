import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { localTenant, type TenantId } from '@maestro/contract'
import type { SecretRow } from '../store/store.ts'
import { realWorld } from '../world.ts'
import { createSecrets } from './secrets.ts'

const quiet = { info() {}, warn() {}, error() {}, with: () => quiet }
const world = realWorld(quiet)
const folder = mkdtempSync(join(tmpdir(), 'secrets-'))
const rootKeyFile = join(folder, 'keys', 'root.key')
test.after(() => rmSync(folder, { recursive: true }))

const acme = 'ten_0000000000000000acme' as TenantId

/** The part of a store that secrets need, kept in memory. */
function memoryStore() {
  const rows = new Map<string, SecretRow & { tenant: TenantId }>()
  const keys = new Map<TenantId, Uint8Array>()
  return {
    rows,
    keys,
    putSecret: async (tenant: TenantId, row: SecretRow) => void rows.set(`${tenant} ${row.name}`, { ...row, tenant }),
    listSecrets: async (tenant: TenantId) => [...rows.values()].filter(row => row.tenant === tenant),
    removeSecret: async (tenant: TenantId, name: string) => rows.delete(`${tenant} ${name}`),
    findTenantKey: async (tenant: TenantId) => keys.get(tenant) ?? null,
    insertTenantKey: async (tenant: TenantId, wrapped: Uint8Array) => void (keys.has(tenant) || keys.set(tenant, wrapped)),
  }
}

const open = (store = memoryStore()) => ({ store, secrets: createSecrets({ store, rootKeyFile, world }) })

test('a secret comes back in the environment and never in a list', async () => {
  const { secrets, store } = open()
  await secrets.set(localTenant, 'github', 'gh🔑')
  assert.deepEqual(await secrets.resolve(localTenant, { TOKEN: { secret: 'github' }, MODE: { value: 'fast' } }), {
    TOKEN: 'gh🔑',
    MODE: 'fast',
  })
  assert.deepEqual(
    (await secrets.list(localTenant)).map(secret => Object.keys(secret)),
    [['name', 'updatedAt']],
  )
  assert.equal(
    await open(store)
      .secrets.resolve(localTenant, { T: { secret: 'github' } })
      .then(env => env['T']),
    'gh🔑',
  )
})

test('a missing or removed secret is named', async () => {
  const { secrets } = open()
  await assert.rejects(secrets.resolve(localTenant, { A: { secret: 'none' } }), { code: 'secret_not_found', message: /none/ })
  await secrets.set(localTenant, 'gone', 'x')
  assert.equal(await secrets.remove(localTenant, 'gone'), true)
  assert.equal(await secrets.remove(localTenant, 'gone'), false)
  await assert.rejects(secrets.resolve(localTenant, { A: { secret: 'gone' } }), { code: 'secret_not_found' })
})

test('what is stored holds neither the value nor the same bytes twice', async () => {
  const { secrets, store } = open()
  await secrets.set(localTenant, 'one', 'correct horse')
  await secrets.set(localTenant, 'two', 'correct horse')
  const [one, two] = [...store.rows.values()].map(row => Buffer.from(row.sealed))
  assert.ok(!one!.includes('correct') && !one!.equals(two!))
})

test('a sealed value opens only as the secret and for the tenant it was sealed for', async () => {
  const { secrets, store } = open()
  await secrets.set(localTenant, 'a', 'for a')
  await secrets.set(acme, 'a', 'for acme')
  const { sealed } = store.rows.get(`${localTenant} a`)!
  await store.putSecret(localTenant, { name: 'b', sealed, updatedAt: 0 })
  await store.putSecret(acme, { name: 'a', sealed, updatedAt: 0 })
  await assert.rejects(secrets.resolve(localTenant, { V: { secret: 'b' } }), { code: 'config_invalid' })
  await assert.rejects(secrets.resolve(acme, { V: { secret: 'a' } }), { code: 'config_invalid' })
})

test('a tenant key opens only for its tenant', async () => {
  const { secrets, store } = open()
  await secrets.set(localTenant, 'a', 'for a')
  store.keys.set(acme, store.keys.get(localTenant)!)
  await store.putSecret(acme, { name: 'a', sealed: new Uint8Array(60), updatedAt: 0 })
  await assert.rejects(secrets.resolve(acme, { V: { secret: 'a' } }), { code: 'config_invalid' })
})

test('altered, cut off or empty sealed bytes are refused', async () => {
  const { secrets, store } = open()
  await secrets.set(localTenant, 'a', 'value')
  const { sealed } = store.rows.get(`${localTenant} a`)!
  for (const bad of [
    sealed.subarray(0, 40),
    sealed.subarray(0, 10),
    new Uint8Array(),
    Buffer.from(sealed).fill(9, 0, 1),
    Buffer.from(sealed).fill(0, 40),
  ]) {
    await store.putSecret(localTenant, { name: 'a', sealed: bad, updatedAt: 0 })
    await assert.rejects(secrets.resolve(localTenant, { V: { secret: 'a' } }), { code: 'config_invalid' })
  }
})

test('a database without its root key reveals nothing and says what is missing', async () => {
  const { secrets, store } = open()
  await secrets.set(localTenant, 'a', 'value')
  const other = createSecrets({ store, rootKeyFile: join(folder, 'other', 'root.key'), world })
  await assert.rejects(other.resolve(localTenant, { V: { secret: 'a' } }), { code: 'config_invalid', message: /root key/ })
  await assert.rejects(other.set(localTenant, 'b', 'x'), { code: 'config_invalid' })
})

test('two that set the first secrets of a tenant together share one key', async () => {
  const store = memoryStore()
  const [one, two] = [open(store).secrets, open(store).secrets]
  await Promise.all([one.set(localTenant, 'a', '1'), two.set(localTenant, 'b', '2')])
  assert.deepEqual(await open(store).secrets.resolve(localTenant, { A: { secret: 'a' }, B: { secret: 'b' } }), { A: '1', B: '2' })
})

test('a root key file that holds something else is refused', () => {
  const wrong = join(folder, 'wrong.key')
  writeFileSync(wrong, 'short')
  assert.throws(() => createSecrets({ store: memoryStore(), rootKeyFile: wrong, world }), { code: 'config_invalid' })
})
