/** The PostgreSQL servers the tests of this folder run on: every one that this machine can reach. */
import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, chownSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { realWorld } from '../../world.ts'
import { type OpenStore, openStore } from '../open-store.ts'
import { findBinaries, majorMin } from '../postgres/find-binaries.ts'
import { processIdentity } from '../process-identity.ts'
import { silent } from './samples.ts'

export type Kind = 'system' | 'embedded' | 'url'

export const path = process.env['PATH'] ?? ''
export const isRoot = process.getuid?.() === 0
export const world = realWorld(silent)

/** What a Conductor can run itself here. */
export const ownKinds = [
  ...new Set(
    findBinaries(path)
      .filter(found => found.major >= majorMin)
      .map(found => found.origin),
  ),
]

const givenUrl = process.env['MAESTRO_TEST_DATABASE_URL']
export const allKinds: Kind[] = givenUrl ? [...ownKinds, 'url'] : ownKinds

/** An empty data folder, given to `owner` if named. */
export function temporaryFolder(owner?: number): { folder: string; remove(): void } {
  const folder = mkdtempSync(join(tmpdir(), 'maestro-store-'))
  if (isRoot) chmodSync(folder, 0o711)
  if (owner !== undefined) chownSync(folder, owner, owner)
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) }
}

/** A store on an empty database of this kind, and what removes both. */
export async function openTemporary(kind: Kind): Promise<{ store: OpenStore; folder: string; remove(): Promise<void> }> {
  const { folder, remove } = temporaryFolder()
  const { databaseUrl, drop } = kind === 'url' ? await createDatabase() : { databaseUrl: '', drop: async () => {} }
  const config = { databaseUrl, database: kind === 'url' ? ('auto' as const) : kind, path }
  const store = await openStore({ config, world, dataFolder: folder })
  return {
    store,
    folder,
    remove: async () => {
      await store.close()
      await drop()
      remove()
    },
  }
}

async function createDatabase(): Promise<{ databaseUrl: string; drop(): Promise<void> }> {
  const name = `maestro_test_${process.pid}_${Math.floor(performance.now())}`
  const run = async (sql: string) => {
    const client = new pg.Client({ connectionString: givenUrl })
    await client.connect()
    await client.query(sql)
    await client.end()
  }
  await run(`create database ${name}`)
  const url = new URL(givenUrl ?? '')
  url.pathname = `/${name}`
  return { databaseUrl: url.href, drop: () => run(`drop database ${name} with (force)`) }
}

/** A Conductor's store in a process of its own, which writes sessions and prints the id of each that was acknowledged. */
export interface Writer {
  child: ChildProcess
  pid: number
  postmaster: number
  acknowledged: string[]
  ended: Promise<unknown>
}

export async function startWriter(folder: string, kind: 'system' | 'embedded', owner?: number): Promise<Writer> {
  const program = fileURLToPath(new URL('./writer.ts', import.meta.url))
  const child = spawn(process.execPath, [program, folder, kind], {
    cwd: '/',
    env: { PATH: path },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(owner === undefined ? {} : { uid: owner, gid: owner }),
  })
  const ended = new Promise(resolve => child.once('close', resolve))
  let errors = ''
  child.stderr.on('data', chunk => {
    errors += chunk
  })
  const acknowledged: string[] = []
  const started = new Promise<number>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', line => {
      if (line.startsWith('postmaster ')) resolve(Number(line.slice(11)))
      else acknowledged.push(line)
    })
    ended.then(() => reject(new Error(`the writer ended: ${errors}`)))
  })
  return { child, pid: child.pid ?? 0, postmaster: await started, acknowledged, ended }
}

/** Waits until the condition holds; fails with its name after `msMax`. */
export async function until(name: string, holds: () => boolean, msMax = 20_000): Promise<void> {
  const deadline = performance.now() + msMax
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`waited ${msMax} ms in vain until ${name}`)
    await world.sleep(5)
  }
}

export const lives = (pid: number): boolean => processIdentity(pid) !== null

/** Every process below this one. */
export function descendantsOf(pid: number): number[] {
  const parents = new Map<number, number>()
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8')
      parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]))
    } catch {
      // It ended while we looked.
    }
  }
  const below = (parent: number): number[] =>
    [...parents].filter(([, its]) => its === parent).flatMap(([child]) => [child, ...below(child)])
  return below(pid)
}

export function killAll(pids: number[]): void {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It ended by itself.
    }
  }
}
