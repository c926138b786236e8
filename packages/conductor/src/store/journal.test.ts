import assert from 'node:assert/strict'
import test from 'node:test'
import { ConductorError, localTenant, type Session, type TenantId } from '@maestro/contract'
import { realWorld, type World } from '../world.ts'
import { createJournal } from './journal.ts'
import { session, silent } from './testing/samples.ts'

/** A clock that moves only when told. */
function simulated() {
  let nowMs = 0
  let timers: { at: number; run: () => void }[] = []
  const errors: string[] = []
  const world: World = {
    ...realWorld({ ...silent, error: event => void errors.push(event) }),
    after: (ms, run) => {
      const timer = { at: nowMs + ms, run }
      timers.push(timer)
      return () => {
        timers = timers.filter(other => other !== timer)
      }
    },
  }
  const settle = () => new Promise<void>(resolve => setImmediate(resolve))
  const advance = async (ms: number) => {
    for (const end = nowMs + ms; nowMs < end; ) {
      nowMs += 1
      const due = timers.filter(timer => timer.at <= nowMs)
      timers = timers.filter(timer => timer.at > nowMs)
      for (const { run } of due) run()
      if (due.length > 0) await settle()
    }
  }
  return { world, advance, errors, timers: () => timers.length }
}

/** A store that keeps what it is given, while it is there. */
function storeOf() {
  const state = { away: false, poison: '', puts: 0, rows: new Map<string, Session>() }
  return {
    state,
    putSessions: async (tenant: TenantId, rows: readonly Session[]) => {
      assert.equal(tenant, localTenant)
      state.puts += 1
      if (state.away) throw new ConductorError('store_unavailable', 'away')
      if (rows.some(row => row.id === state.poison)) throw new Error('refused')
      for (const row of rows) state.rows.set(row.id, row)
    },
  }
}

function start(rowsMax?: number) {
  const [simulation, store] = [simulated(), storeOf()]
  const journal = createJournal({ store, tenant: localTenant, world: simulation.world, ...(rowsMax ? { rowsMax } : {}) })
  return { ...simulation, journal, state: store.state }
}

test('rows are gathered for 200 ms and the latest of each session is written', async () => {
  const { journal, advance, state, timers } = start()
  const row = session()
  journal.save(row)
  await advance(199)
  journal.save({ ...row, frames: 10 })
  assert.equal(state.puts, 0)
  await advance(1)
  assert.equal(state.puts, 1)
  assert.equal(state.rows.get(row.id)?.frames, 10)
  await advance(1_000)
  assert.equal(state.puts, 1)
  assert.equal(timers(), 0)
})

test('many changes make few writes', async () => {
  const { journal, advance, state } = start()
  const rows = Array.from({ length: 20 }, () => session())
  for (let ms = 0; ms < 1_000; ms++) {
    for (const row of rows) journal.save({ ...row, frames: ms })
    await advance(1)
  }
  await journal.flush()
  assert.ok(state.puts <= 7, String(state.puts))
  assert.deepEqual(
    [...state.rows.values()].map(row => row.frames),
    rows.map(() => 999),
  )
})

test('flush writes at once and fails while the database is away', async () => {
  const { journal, state } = start()
  const row = session()
  journal.save(row)
  await journal.flush()
  assert.ok(state.rows.has(row.id))
  await journal.flush()
  state.away = true
  journal.save({ ...row, frames: 4 })
  await assert.rejects(journal.flush(), { code: 'store_unavailable' })
  state.away = false
  await journal.flush()
  assert.equal(state.rows.get(row.id)?.frames, 4)
})

test('what comes while the database is away is written when it is back, the newest of each session', async () => {
  const { journal, advance, state } = start()
  const [one, two] = [session(), session()]
  state.away = true
  journal.save(one)
  await advance(300)
  journal.save({ ...one, frames: 50 })
  journal.save(two)
  await advance(20_000)
  assert.ok(state.puts < 15, `it was asked ${state.puts} times in 20 s`)
  state.away = false
  await advance(6_000)
  assert.equal(state.rows.get(one.id)?.frames, 50)
  assert.ok(state.rows.has(two.id))
})

test('while the database is away memory is bounded and the newest rows are kept', async () => {
  const { journal, advance, state, errors } = start(100)
  state.away = true
  const rows = Array.from({ length: 250 }, () => session())
  for (const row of rows) {
    journal.save(row)
    await advance(10)
  }
  assert.ok(errors.includes('journal.rows_lost'))
  state.away = false
  await journal.flush()
  assert.deepEqual(
    [...state.rows.keys()],
    rows.slice(-100).map(row => row.id),
  )
})

test('a row the database refuses holds up no other', async () => {
  const { journal, state, errors } = start()
  const rows = Array.from({ length: 33 }, () => session())
  state.poison = rows[20]!.id
  for (const row of rows) journal.save(row)
  await journal.flush()
  assert.equal(state.rows.size, 32)
  assert.deepEqual(errors, ['journal.row_refused'])
  await journal.flush()
})
