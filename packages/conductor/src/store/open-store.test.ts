/**
 * Every PostgreSQL that can be reached runs the same suite: the system's, the embedded one, and the one named by
 * MAESTRO_TEST_DATABASE_URL. Those of our own are also killed in several ways while rows are written.
 */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { localTenant, type SessionId } from '@maestro/contract'
import { migrate, readMigrations } from './migrate.ts'
import { type OpenStore, openStore } from './open-store.ts'
import { openSql, statement } from './postgres/sql.ts'
import { storeContract } from './store.contract.ts'
import {
  allKinds,
  descendantsOf,
  isRoot,
  killAll,
  lives,
  openTemporary,
  ownKinds,
  path,
  startWriter,
  temporaryFolder,
  until,
  type Writer,
  world,
} from './testing/databases.ts'
import { session } from './testing/samples.ts'

const nobody = 65_534

const open = (dataFolder: string, database: 'system' | 'embedded' | 'auto') =>
  openStore({ config: { databaseUrl: '', database, path }, world, dataFolder })

async function assertAllThere(store: OpenStore, ids: readonly string[]): Promise<void> {
  const { rows } = await store.pool.query('select id from maestro.sessions')
  const there = new Set(rows.map(row => row.id))
  assert.deepEqual(
    ids.filter(id => !there.has(id)),
    [],
    'acknowledged rows that were lost',
  )
}

test('this machine has a PostgreSQL to test with', () => {
  assert.ok(allKinds.length > 0)
})

for (const kind of allKinds) {
  let temporary: Awaited<ReturnType<typeof openTemporary>>
  test.before(async () => {
    temporary = await openTemporary(kind)
  })
  test.after(() => temporary.remove())

  storeContract(kind, () => temporary.store)

  test(`${kind}: says what it is`, () => {
    const form = kind === 'url' ? /^PostgreSQL \d+\.\d+ by URL$/ : new RegExp(`^${kind} PostgreSQL \\d+\\.\\d+$`)
    assert.match(temporary.store.description, form)
  })

  test(`${kind}: the server has no network address and its socket lets in its user only`, {
    skip: kind === 'url' && 'not a server of ours',
  }, async () => {
    const { store } = temporary
    const { rows } = await store.pool.query(
      `select name, setting from pg_settings where name in ('listen_addresses', 'fsync', 'synchronous_commit', 'full_page_writes', 'data_checksums')`,
    )
    assert.deepEqual(Object.fromEntries(rows.map(row => [row.name, row.setting])), {
      listen_addresses: '',
      fsync: 'on',
      synchronous_commit: 'on',
      full_page_writes: 'on',
      data_checksums: 'on',
    })
    const socket = store.database.connection.host ?? ''
    assert.equal(statSync(socket).mode & 0o777, 0o700)
    assert.notEqual(isRoot && statSync(`/proc/${store.database.pid()}`).uid, 0, 'the server does not run as root')
  })

  test(`${kind}: two that migrate together apply everything once`, async () => {
    await temporary.store.pool.query('drop schema maestro cascade')
    const sql = [1, 2].map(() => openSql(connectionOf(temporary.store), world))
    const applied = await Promise.all([...sql, ...sql].map(each => migrate(each)))
    assert.deepEqual(
      applied.flat(),
      readMigrations().map(migration => migration.name),
    )
    assert.deepEqual(await migrate(sql[0]!), [])
    await Promise.all(sql.map(each => each.close()))
  })

  test(`${kind}: a migration that fails leaves nothing behind`, async () => {
    const sql = openSql(connectionOf(temporary.store), world)
    const bad = { number: 9_000, name: '9000-bad', sql: 'create table maestro.half (x int); select 1/0', checksum: '00' }
    await assert.rejects(migrate(sql, [...readMigrations(), bad]), /division by zero/)
    const { rows } = await temporary.store.pool.query(`select to_regclass('maestro.half') as half`)
    assert.equal(rows[0].half, null)
    assert.deepEqual(await migrate(sql), [])
    await sql.close()
  })

  test(`${kind}: a migration that was changed, or is of a newer Conductor, is refused by name`, async () => {
    const sql = openSql(connectionOf(temporary.store), world)
    const [first, ...rest] = readMigrations()
    await assert.rejects(migrate(sql, [{ ...first!, checksum: 'other' }, ...rest]), {
      code: 'store_incompatible',
      message: /0001-.*changed/,
    })
    await assert.rejects(migrate(sql, rest), { code: 'store_incompatible', message: /newer Conductor/ })
    await sql.close()
  })

  test(`${kind}: a full disk is said to be one, a mistake of ours stays a mistake`, async () => {
    const sql = openSql(connectionOf(temporary.store), world)
    const raise = (code: string) =>
      sql.rows(statement(`raise.${code}`, `do $$ begin raise exception 'x' using errcode = '${code}'; end $$`))
    await assert.rejects(raise('53100'), { code: 'store_unavailable', message: /disk is full/ })
    await assert.rejects(raise('58030'), { code: 'store_unavailable' })
    await assert.rejects(raise('23505'), { code: '23505' })
    await sql.close()
  })

  test(`${kind}: connections that are cut are made again without anybody noticing`, async () => {
    const row = session()
    const cut = `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`
    for (let round = 0; round < 3; round++) {
      await Promise.all(Array.from({ length: 8 }, () => temporary.store.putSessions(localTenant, [row])))
      await temporary.store.pool.query(cut)
      await Promise.all(Array.from({ length: 8 }, () => temporary.store.putSessions(localTenant, [row])))
    }
    assert.deepEqual(await temporary.store.findSession(localTenant, row.id as SessionId), row)
  })
}

for (const kind of ownKinds) {
  test(`${kind}: killing the server while rows are written loses none that was acknowledged, and writing goes on`, async () => {
    const { store, remove } = await openTemporary(kind)
    const acknowledged: string[] = []
    let stop = false
    const write = async () => {
      while (!stop) {
        const row = session({ openedAt: world.now() })
        await store.putSessions(localTenant, [row])
        acknowledged.push(row.id)
      }
    }
    const writers = Promise.all([write(), write(), write(), write()])
    const written = async (name: string) => {
      const goal = acknowledged.length + 100
      await Promise.race([until(name, () => acknowledged.length > goal), writers])
    }
    try {
      for (const signal of ['SIGKILL', 'SIGKILL', 'SIGQUIT'] as const) {
        await written(`rows are written before ${signal}`)
        const pid = store.database.pid() ?? 0
        process.kill(pid, signal)
        await until('another server runs', () => ![null, pid].includes(store.database.pid()))
      }
      await written('rows are written after the last kill')
      stop = true
      await writers
      await assertAllThere(store, acknowledged)
    } finally {
      stop = true
      await Promise.allSettled([writers])
      await remove()
    }
  })

  test(`${kind}: however Conductor and its server are killed, the next start finds every acknowledged row, and is quick`, async () => {
    const { folder, remove } = temporaryFolder()
    const acknowledged: string[] = []
    const writeAndKill = async (victims: (writer: Writer) => number[]) => {
      const writer = await startWriter(folder, kind)
      await until('rows are written', () => writer.acknowledged.length > 100)
      killAll(victims(writer))
      await writer.ended
      acknowledged.push(...writer.acknowledged)
      return writer
    }
    await writeAndKill(writer => [writer.pid, ...descendantsOf(writer.pid)])
    let store = await open(folder, 'auto')
    assert.ok(store.description.startsWith(kind), 'what made the database runs it')
    await assertAllThere(store, acknowledged)
    await store.close()

    // Without its keeper the server does not notice that Conductor is gone: the next one stops it.
    const isShell = (pid: number) => readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === 'sh'
    const orphaned = await writeAndKill(writer => [...descendantsOf(writer.pid).filter(isShell), writer.pid])
    assert.ok(lives(orphaned.postmaster))
    store = await open(folder, kind)
    assert.equal(lives(orphaned.postmaster), false)
    await assertAllThere(store, acknowledged)
    await store.close()

    // A pid file left behind, whose pid is a stranger's by now.
    const data = join(String(store.database.connection.host), '..', 'data')
    writeFileSync(join(data, 'postmaster.pid'), `${process.ppid}\n${data}\n1\n5432\n/nonexistent\n\n 1 1\nready   \n`)
    const startedMs = performance.now()
    store = await open(folder, 'auto')
    const tookMs = performance.now() - startedMs
    assert.ok(tookMs < 1_000, `took ${tookMs} ms`)
    await store.close()
    remove()
  })

  test(`${kind}: runs for an ordinary user, also below a path too long for a socket`, async () => {
    const { folder, remove } = temporaryFolder(isRoot ? nobody : undefined)
    const deep = join(folder, 'a-folder-with-a-long-name'.repeat(4))
    const writer = await startWriter(deep, kind, isRoot ? nobody : undefined)
    await until('rows are written', () => writer.acknowledged.length > 10)
    assert.equal(statSync(`/proc/${writer.postmaster}`).uid, isRoot ? nobody : process.getuid?.())
    assert.equal(statSync(deep).mode & 0o777, 0o700)
    const below = descendantsOf(writer.pid)
    const theirs = /unix_socket_directories=([^\0]*)/.exec(readFileSync(`/proc/${writer.postmaster}/cmdline`, 'utf8'))?.[1] ?? ''
    process.kill(writer.pid, 'SIGKILL')
    await until('all its processes are gone', () => !below.some(lives))
    rmSync(theirs, { recursive: true })
    // And where it is root who goes on with what the user began, the server stays the user's.
    const store = await open(deep, kind)
    assert.equal(statSync(`/proc/${store.database.pid()}`).uid, isRoot ? nobody : process.getuid?.())
    const socket = String(store.database.connection.host)
    assert.ok(!socket.startsWith(deep) && existsSync(socket))
    await assertAllThere(store, writer.acknowledged)
    await store.close()
    assert.equal(existsSync(socket), false)
    remove()
  })
}

test('as root, where the database’s user cannot enter the data folder, its database lives elsewhere and is found again', {
  skip: !isRoot && 'needs root',
}, async () => {
  const { folder, remove } = temporaryFolder()
  const closed = join(folder, 'closed')
  mkdirSync(closed, { mode: 0o700 })
  writeFileSync(join(closed, 'something'), '')
  let store = await open(closed, 'auto')
  const row = session()
  await store.putSessions(localTenant, [row])
  const note = JSON.parse(readFileSync(join(closed, 'database.json'), 'utf8'))
  assert.match(note.folder, /^\/var\/lib\/maestro\/[0-9a-f]{20}$/)
  assert.equal(existsSync(join(closed, 'database')), false)
  await store.close()
  store = await open(closed, 'auto')
  assert.deepEqual(await store.findSession(localTenant, row.id as SessionId), row)
  await store.close()
  rmSync(note.folder, { recursive: true })
  await assert.rejects(open(closed, 'auto'), { code: 'store_incompatible', message: /should be in \/var\/lib\/maestro/ })
  remove()
})

test('a database that is not there is said to be away', async () => {
  let clockMs = 0
  const hasty = {
    ...world,
    monotonicMs: () => clockMs,
    sleep: async (ms: number) => {
      clockMs += ms
    },
  }
  const sql = openSql({ connection: { host: '/nonexistent' }, trouble: () => 'the disk is full' }, hasty)
  await assert.rejects(sql.rows(statement('one', 'select 1')), { code: 'store_unavailable', message: /the disk is full/ })
  await assert.rejects(
    sql.transaction(async () => {}),
    { code: 'store_unavailable' },
  )
  assert.ok(clockMs > 2_000, 'it was tried again')
  await sql.close()
})

test('a wrong DATABASE_URL is refused without its password', async () => {
  const config = { databaseUrl: 'postgres://maestro:hunter2@127.0.0.1:1/none', database: 'auto' as const, path }
  const error = await openStore({ config, world, dataFolder: '/nonexistent' }).catch(error => error)
  assert.equal(error.code, 'store_unavailable')
  assert.ok(!`${error.message}${JSON.stringify(error.facts)}${error.cause}`.includes('hunter2'))
})

function connectionOf(store: OpenStore) {
  return { connection: store.database.connection, trouble: () => null }
}
