/** Runs a PostgreSQL of our own, or says how to reach somebody else's. */
import { existsSync, rmSync } from 'node:fs'
import type { ConnectionConfig } from 'pg'
import type { Config } from '../../config.ts'
import type { World } from '../../world.ts'
import { holdOpen } from '../hold-open.ts'
import { chooseBinaries, findBinaries } from './find-binaries.ts'
import { databaseUser, initializeDatabase } from './initialize-database.ts'
import { makeSocketFolder, notePlace, placeDatabase } from './place-database.ts'
import { type Postmaster, startPostmaster, stopLeftover } from './postmaster.ts'
import { prepareBinaries } from './prepare-binaries.ts'

export interface Database {
  /** How `pg` reaches it. */
  connection: ConnectionConfig
  /** `embedded PostgreSQL`, `system PostgreSQL`, `PostgreSQL by URL`; the version comes from the server. */
  description: string
  /** Pid of the server where it is ours and runs. */
  pid(): number | null
  /** Why the server is down, in its own words, or null while it runs or is not ours. */
  trouble(): string | null
  /** Stops a server of our own; leaves others alone. Safe to call twice. */
  stop(): Promise<void>
}

const restartMsMin = 25
const restartMsMax = 10_000

/**
 * Makes a PostgreSQL reachable: `DATABASE_URL`, else a system one of version 15 or newer, else the embedded one
 * (`config.database` narrows the choice; an existing database is run by what made it). A server of our own has no network
 * address, ends when we end, and is started again when it dies. The caller holds the lock of the data folder.
 * Throws `store_unavailable`, `store_incompatible`, `data_locked`.
 */
export async function startDatabase(deps: {
  config: Pick<Config, 'databaseUrl' | 'database' | 'path'>
  world: World
  dataFolder: string
}): Promise<Database> {
  const { config, world, dataFolder } = deps
  if (config.databaseUrl) {
    const connection = { connectionString: config.databaseUrl, keepAlive: true }
    return { connection, description: 'PostgreSQL by URL', pid: () => null, trouble: () => null, stop: async () => {} }
  }

  const place = placeDatabase(dataFolder, world)
  const binaries = chooseBinaries(findBinaries(config.path), config.database, place.existing)
  const programs = prepareBinaries(binaries, place.user, place.copies)
  notePlace(dataFolder, place, binaries)
  if (!existsSync(place.data)) {
    const startedMs = world.monotonicMs()
    await initializeDatabase(programs, binaries.major, place)
    world.log.info('database.made', {
      folder: place.folder,
      version: binaries.version,
      ms: Math.round(world.monotonicMs() - startedMs),
    })
  }
  await stopLeftover(place, world)

  const socket = makeSocketFolder(place)
  const start = () => startPostmaster(programs, binaries.major, place, socket, world)
  const kept = keepRunning(await startPatiently(start, world), start, world)
  world.log.info('database.started', { origin: binaries.origin, version: binaries.version, user: place.user?.name ?? null })
  return {
    connection: { host: socket, port: 5432, user: databaseUser, database: 'postgres' },
    description: `${binaries.origin} PostgreSQL`,
    ...kept,
    stop: async () => {
      await kept.stop()
      rmSync(socket, { recursive: true, force: true })
    },
  }
}

/** Backends of a server that was killed take a moment to notice, and while they hold its memory no other may start. */
async function startPatiently(start: () => Promise<Postmaster>, world: World): Promise<Postmaster> {
  for (let waitMs = 50; ; waitMs *= 2) {
    try {
      return await start()
    } catch (error) {
      if (waitMs > 2_000 || !(error instanceof Error) || !/still in use/.test(error.message)) throw error
      await holdOpen(world.sleep(waitMs))
    }
  }
}

/** Starts the server again whenever it ends unasked: soon the first time, at growing distances up to 10 s if it keeps dying. */
function keepRunning(
  first: Postmaster,
  start: () => Promise<Postmaster>,
  world: World,
): Pick<Database, 'pid' | 'trouble' | 'stop'> {
  const stopping = new AbortController()
  let running: Postmaster | null = first
  let trouble: string | null = null

  const loop = async () => {
    let startedMs = world.monotonicMs()
    let waitMs = restartMsMin
    while (!stopping.signal.aborted) {
      if (running) {
        trouble = await running.ended
        running = null
        if (stopping.signal.aborted) return
        world.log.error('database.died', new Error(trouble))
      }
      waitMs = world.monotonicMs() - startedMs > restartMsMax ? restartMsMin : Math.min(waitMs * 2, restartMsMax)
      await world.sleep(waitMs, stopping.signal).catch(() => {})
      if (stopping.signal.aborted) return
      try {
        running = await start()
        startedMs = world.monotonicMs()
        trouble = null
        world.log.info('database.restarted')
      } catch (error) {
        trouble = error instanceof Error ? error.message : String(error)
        world.log.error('database.restart_failed', error)
      }
    }
  }
  const kept = loop()
  return {
    pid: () => running?.pid ?? null,
    trouble: () => trouble,
    stop: async () => {
      stopping.abort()
      await running?.stop()
      await kept
      // The one whose start was under way when we were asked to stop.
      await running?.stop()
    },
  }
}
