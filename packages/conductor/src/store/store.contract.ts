/** What every store must do, whichever PostgreSQL stands behind it. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { type DeploymentId, localTenant, type ReleaseId, type ReplayId, type SessionId, type TenantId } from '@maestro/contract'
import type { Store, TenantKeyStore } from './store.ts'
import { deployment, deploymentId, manifest, release, replay, session } from './testing/samples.ts'

const acme = 'ten_0000000000000000acme' as TenantId

/** Declares the tests; `store` is called when they run. Each test works with rows of its own. */
export function storeContract(name: string, store: () => Store & TenantKeyStore): void {
  const check = (sentence: string, run: (store: Store & TenantKeyStore) => Promise<void>) =>
    test(`${name}: ${sentence}`, () => run(store()))

  check('a release comes back as it was put in, and only to its tenant', async store => {
    const row = release({ name: 'whole' })
    await store.insertRelease(row)
    await store.insertRelease(row)
    assert.deepEqual(await store.findRelease(localTenant, row.id), row)
    assert.equal(await store.findRelease(acme, row.id), null)
    assert.equal(await store.findRelease(localTenant, 'rel_0' as ReleaseId), null)
    const bare = release({
      name: 'bare',
      bundle: null,
      program: null,
      source: { kind: 'remote', url: 'https://example.com/mcp' },
    })
    await store.insertRelease(bare)
    assert.deepEqual(await store.findRelease(localTenant, bare.id), bare)
  })

  check('whatever a server said of itself is kept as it said it', async store => {
    const hostile = JSON.parse(
      '{"z":1,"a":{"b":[1.0,1e300,"\\u0000 nul","\\ud800 half","\\u202e"]},"__proto__x":null,"":"","10":1,"2":2}',
    ) as Record<string, unknown>
    const tools = [{ name: '\u0000', description: "'; drop table maestro.releases; --", annotations: hostile }]
    const row = release({ name: "o'hostile\\", manifest: { ...manifest, tools, serverInfo: hostile } })
    await store.insertRelease(row)
    const found = await store.findRelease(localTenant, row.id)
    assert.deepEqual(found, row)
    assert.equal(JSON.stringify(found?.manifest), JSON.stringify(row.manifest), 'key order')
  })

  check('a release is found by version: the exact digest, or the newest', async store => {
    const by = { name: 'versioned', version: '2.0.0' }
    const old = release({ ...by, digest: 'sha256:01', createdAt: 1 })
    const newer = release({ ...by, digest: 'sha256:02', createdAt: 2 })
    for (const row of [newer, old]) await store.insertRelease(row)
    const find = (...more: [string?]) => store.findReleaseByVersion(localTenant, 'npm', 'versioned', '2.0.0', ...more)
    assert.equal((await find())?.id, newer.id)
    assert.equal((await find('sha256:01'))?.id, old.id)
    assert.equal(await find('sha256:03'), null)
    assert.equal(await store.findReleaseByVersion(localTenant, 'folder', 'versioned', '2.0.0'), null)
    const listed = (await store.listReleases(localTenant)).filter(row => row.name === 'versioned').map(row => row.id)
    assert.deepEqual(listed, [newer.id, old.id])
  })

  check('a deployment comes back by id and by name with its release', async store => {
    const of = release({ name: 'deployed' })
    await store.insertRelease(of)
    const row = deployment({ name: 'by-id-and-name', release: of })
    await store.putDeployment(row)
    assert.deepEqual(await store.findDeployment(localTenant, row.id), row)
    assert.deepEqual(await store.findDeployment(localTenant, row.name), row)
    assert.equal(await store.findDeployment(acme, row.name), null)
    assert.ok((await store.listDeployments(localTenant)).some(listed => listed.id === row.id))
    assert.deepEqual(await store.listDeployments(acme), [])
  })

  check('a deployment of the same name replaces the other', async store => {
    const [one, two] = [release({ name: 'one' }), release({ name: 'two' })]
    for (const row of [one, two]) await store.insertRelease(row)
    const first = deployment({ name: 'replaced', release: one })
    const second = deployment({ name: 'replaced', release: two, id: deploymentId(), env: {}, args: [], egress: [], updatedAt: 9 })
    await store.putDeployment(first)
    await store.putDeployment(second)
    assert.deepEqual(await store.findDeployment(localTenant, 'replaced'), second)
    assert.equal(await store.findDeployment(localTenant, first.id), null)
  })

  check('a removed deployment is gone, its sessions stay', async store => {
    const of = release({ name: 'removed' })
    await store.insertRelease(of)
    const row = deployment({ name: 'removed', release: of })
    await store.putDeployment(row)
    const ran = session({ deployment: row.id })
    await store.putSessions(localTenant, [ran])
    assert.equal(await store.removeDeployment(acme, row.id), false)
    assert.equal(await store.removeDeployment(localTenant, row.id), true)
    assert.equal(await store.removeDeployment(localTenant, row.id), false)
    assert.equal(await store.findDeployment(localTenant, row.id), null)
    assert.deepEqual(await store.findSession(localTenant, ran.id as SessionId), ran)
  })

  check('sessions are updated many at once, and the last word on one counts', async store => {
    const rows = Array.from({ length: 1_200 }, (_, index) => session({ frames: index, deploymentName: 'many' }))
    await store.putSessions(localTenant, rows)
    const changed = rows.map(row => ({
      ...row,
      frames: row.frames + 1,
      state: 'closed' as const,
      closeReason: 'client',
      closedAt: row.openedAt,
    }))
    await store.putSessions(localTenant, [...rows, ...changed])
    for (const at of [0, 499, 500, 1_199]) {
      assert.deepEqual(await store.findSession(localTenant, rows[at]!.id as SessionId), changed[at])
    }
    await store.putSessions(localTenant, [])
  })

  check('a session may lack what it may lack, and be called what a client likes', async store => {
    const row = session({ client: '\0 "x", \\ {} NULL', protocolVersion: null, startupMs: null, subject: "'" })
    await store.putSessions(localTenant, [row])
    assert.deepEqual(await store.findSession(localTenant, row.id as SessionId), { ...row, client: '\u{fffd} "x", \\ {} NULL' })
    const nameless = session({ client: null })
    await store.putSessions(localTenant, [nameless])
    assert.equal((await store.findSession(localTenant, nameless.id as SessionId))?.client, null)
  })

  check('a closed session is not opened again by a late row', async store => {
    const open = session()
    const closed = { ...open, state: 'closed' as const, closeReason: 'idle', closedAt: open.openedAt + 5 }
    await store.putSessions(localTenant, [closed])
    await store.putSessions(localTenant, [open])
    assert.deepEqual(await store.findSession(localTenant, open.id as SessionId), closed)
  })

  check('sessions are listed newest first, page by page, without gap or repetition', async store => {
    const dep = deploymentId()
    // Several within one millisecond, so that the page break falls among equals.
    const rows = Array.from({ length: 25 }, (_, index) => session({ deployment: dep, openedAt: 5_000 + Math.floor(index / 4) }))
    await store.putSessions(localTenant, rows)
    const seen: string[] = []
    for (let before: SessionId | undefined; ; ) {
      const page = await store.listSessions(localTenant, { deployment: dep, limit: 4, ...(before ? { before } : {}) })
      seen.push(...page.map(row => row.id))
      if (page.length < 4) break
      before = page.at(-1)?.id as SessionId
    }
    const expected = rows.toSorted((a, b) => b.openedAt - a.openedAt || (a.id < b.id ? 1 : -1)).map(row => row.id)
    assert.deepEqual(seen, expected)
    assert.deepEqual(await store.listSessions(acme, { limit: 10 }), [])
    assert.deepEqual(await store.listSessions(localTenant, { before: 'ses_0' as SessionId, limit: 10 }), [])
  })

  check('sessions are found by state and by part of a name, and signs stand for themselves', async store => {
    const dep = deploymentId()
    const closed = { state: 'closed' as const, closedAt: 1_790_000_000_001 }
    const percent = session({ deployment: dep, client: '100% Ünïcode_agent', ...closed })
    const plain = session({ deployment: dep, client: 'plain agent', subject: 'Alice', deploymentName: 'Notes' })
    await store.putSessions(localTenant, [percent, plain])
    const search = async (filter: { search?: string; state?: string }) =>
      (await store.listSessions(localTenant, { ...filter, deployment: dep as DeploymentId, limit: 10 })).map(row => row.id)
    assert.deepEqual(await search({ search: '100%' }), [percent.id])
    assert.deepEqual(await search({ search: 'e_a' }), [percent.id])
    assert.deepEqual(await search({ search: '\\' }), [])
    assert.deepEqual(await search({ search: 'ÜNÏ' }), [percent.id])
    assert.deepEqual(await search({ search: 'alice' }), [plain.id])
    assert.deepEqual(await search({ search: 'notes' }), [plain.id])
    assert.deepEqual(await search({ search: plain.id.slice(4) }), [plain.id])
    assert.deepEqual(await search({ state: 'closed' }), [percent.id])
    assert.deepEqual(await search({ state: 'ready', search: 'agent' }), [plain.id])
    assert.deepEqual(await search({ state: 'nonsense' }), [])
  })

  check('sessions that a crash left open are closed with the reason', async store => {
    const [opening, ready] = [session({ state: 'opening' }), session({ openedAt: 1_800_000_000_000 })]
    const done = session({ state: 'closed', closeReason: 'client', closedAt: 1_790_000_000_002 })
    await store.putSessions(localTenant, [opening, ready, done])
    assert.ok((await store.closeOpenSessions('crash', 1_795_000_000_000)) >= 2)
    const find = (row: { id: string }) => store.findSession(localTenant, row.id as SessionId)
    assert.deepEqual(await find(opening), { ...opening, state: 'closed', closeReason: 'crash', closedAt: 1_795_000_000_000 })
    assert.equal((await find(ready))?.closedAt, 1_800_000_000_000, 'no session ends before it began')
    assert.deepEqual(await find(done), done)
    assert.equal(await store.closeOpenSessions('crash', 1_795_000_000_000), 0)
  })

  check('replays are updated, listed newest first, and the newest is shown with the session', async store => {
    const row = session()
    await store.putSessions(localTenant, [row])
    const old = replay({ session: row.id, createdAt: 1 })
    const running = replay({ session: row.id, createdAt: 2, state: 'running', firstDivergence: null, differences: [] })
    const done = { ...running, state: 'done' as const, identical: true, frames: { matched: 10, total: 10, fidelity: 1 } }
    for (const each of [running, old, done]) await store.putReplay(localTenant, each)
    assert.deepEqual(await store.findReplay(localTenant, old.id as ReplayId), old)
    assert.deepEqual(await store.listReplays(localTenant, row.id as SessionId), [done, old])
    assert.deepEqual((await store.findSession(localTenant, row.id as SessionId))?.replay, {
      id: done.id,
      identical: true,
      fidelity: 1,
    })
    assert.equal(await store.findReplay(acme, old.id as ReplayId), null)
    const failed = replay({ session: row.id, createdAt: 3, state: 'failed', error: { code: 'internal', message: '\u0000' } })
    await store.putReplay(localTenant, failed)
    assert.deepEqual(await store.findReplay(localTenant, failed.id as ReplayId), failed)
  })

  check('sealed secrets come back byte for byte and only to their tenant', async store => {
    const sealed = Uint8Array.from({ length: 256 }, (_, byte) => byte)
    await store.putSecret(localTenant, { name: 'github', sealed: Uint8Array.of(1), updatedAt: 1 })
    await store.putSecret(localTenant, { name: 'github', sealed, updatedAt: 2 })
    const [row] = await store.listSecrets(localTenant)
    assert.deepEqual({ ...row, sealed: new Uint8Array(row!.sealed) }, { name: 'github', sealed, updatedAt: 2 })
    assert.deepEqual(await store.listSecrets(acme), [])
    assert.equal(await store.removeSecret(acme, 'github'), false)
    assert.equal(await store.removeSecret(localTenant, 'github'), true)
    assert.equal(await store.removeSecret(localTenant, 'github'), false)
  })

  check('a tenant keeps the first key it was given', async store => {
    assert.equal(await store.findTenantKey(acme), null)
    await Promise.all([1, 2, 3].map(byte => store.insertTenantKey(acme, Uint8Array.of(byte), 1)))
    const kept = await store.findTenantKey(acme)
    await store.insertTenantKey(acme, Uint8Array.of(9), 1)
    assert.deepEqual(await store.findTenantKey(acme), kept)
  })
}
