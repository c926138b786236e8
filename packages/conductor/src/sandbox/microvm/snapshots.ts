import { createHash } from 'node:crypto'
import { createWriteStream, existsSync, readFileSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, open, readdir, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { World } from '../../world.ts'
import { imagesFolder } from '../guest/image/guest-image.ts'
import { cleanRunFolders, makeRunFolder, ownerName } from '../owner.ts'
import type { GuestMachine } from './guest-machine.ts'

/** A state without memory is under a megabyte; a guest that makes it larger is not ours any more. */
const stateBytesMax = 64 * 1024 * 1024
const snapshotsMax = 32
const factsFile = 'snapshot.json'

/** A machine at rest in two files, from which any number are made. Holds no secret: those come after the restore. */
export interface Snapshot {
  ram: string
  state: string
}

/** What a machine is asked to be before it is saved: says why it must not be, or null where it may. */
export type Prepare = (
  ram: string,
  write: ReadonlyMap<string, string>,
) => Promise<{ machine: GuestMachine; unfit: string | null }>

/** Snapshots by what they are of, in the data folder. What was found unfit to be copied is remembered too. */
export class Snapshots {
  readonly #folder: string
  readonly #world: World
  readonly #making = new Map<string, Promise<Snapshot | null>>()

  constructor(place: { data: string }, world: World) {
    this.#folder = join(imagesFolder(place.data), 'snapshots')
    this.#world = world
    // Memory that a Conductor was writing when it was killed.
    if (existsSync(this.#folder)) cleanRunFolders(this.#folder)
  }

  /** The snapshot of that name, made first where it is missing; null where there can be none. Never rejects. */
  async take(of: readonly unknown[], memoryBytes: number, prepare: Prepare): Promise<Snapshot | null> {
    const name = createHash('sha256').update(JSON.stringify(of)).digest('hex').slice(0, 32)
    const found = await this.#find(name)
    if (found !== undefined) return found
    let making = this.#making.get(name)
    if (!making) {
      making = this.#make(name, memoryBytes, prepare).catch(cause => {
        this.#world.log.warn('sandbox.snapshot_failed', { name, cause: (cause as Error).message })
        return null
      })
      this.#making.set(name, making)
      void making.finally(() => this.#making.delete(name))
    }
    return making
  }

  /** Removes one that could not be restored. */
  async remove(snapshot: Snapshot): Promise<void> {
    await rm(join(snapshot.ram, '..'), { recursive: true, force: true })
  }

  async #find(name: string): Promise<Snapshot | null | undefined> {
    const folder = join(this.#folder, name)
    try {
      const { unfit } = JSON.parse(readFileSync(join(folder, factsFile), 'utf8')) as { unfit: string | null }
      const now = this.#world.now() / 1000
      await utimes(folder, now, now)
      return unfit === null ? { ram: join(folder, 'ram'), state: join(folder, 'state') } : null
    } catch {
      return undefined
    }
  }

  async #make(name: string, memoryBytes: number, prepare: Prepare): Promise<Snapshot | null> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 })
    const startedMs = this.#world.monotonicMs()
    // The path of a socket must be short, and data folders may lie deep.
    const run = makeRunFolder()
    const socket = join(run, 'state')
    const making = await mkdtemp(join(this.#folder, `${ownerName}-`))
    try {
      const ram = join(making, 'ram')
      const file = await open(ram, 'wx')
      await file.truncate(memoryBytes)
      await file.close()
      // QEMU is somebody else; the folder keeps everybody else away.
      await chmod(ram, 0o666)
      const saved = this.#receive(socket, join(making, 'state'))
      try {
        await saved.listening
        await chmod(socket, 0o666)
        const { machine, unfit } = await prepare(ram, new Map([['/vm/state.socket', socket]]))
        try {
          if (unfit === null) {
            await machine.save('/vm/state.socket')
            await saved.received
          }
        } finally {
          await machine.end()
        }
        if (unfit !== null) await rm(ram)
        await writeFile(join(making, factsFile), JSON.stringify({ unfit }))
        const ms = Math.round(this.#world.monotonicMs() - startedMs)
        this.#world.log.info('sandbox.snapshot_made', { name, ms, unfit: unfit ?? '' })
      } finally {
        saved.close()
      }
      const target = join(this.#folder, name)
      if (!existsSync(target)) await rename(making, target)
      await this.#dropOldest()
      return (await this.#find(name)) ?? null
    } finally {
      await rm(making, { recursive: true, force: true })
      await rm(run, { recursive: true, force: true })
    }
  }

  /** Takes the state from QEMU, which may start no program and open no other file. */
  #receive(socket: string, file: string): { listening: Promise<void>; received: Promise<void>; close(): void } {
    const server = createServer()
    const listening = new Promise<void>((done, fail) => {
      server.once('error', fail)
      server.listen(socket, done)
    })
    const received = new Promise<void>((done, fail) => {
      server.once('close', () => fail(new Error('no state came')))
      server.once('connection', link => {
        let bytes = 0
        link.on('data', (chunk: Buffer) => {
          bytes += chunk.length
          if (bytes > stateBytesMax) link.destroy(new Error('the state is too large'))
        })
        pipeline(link, createWriteStream(file, { mode: 0o600 })).then(done, fail)
      })
    })
    received.catch(() => {})
    return { listening, received, close: () => server.close() }
  }

  /** A machine that was made from one lives on until it ends: the file is only gone by name. */
  async #dropOldest(): Promise<void> {
    const names = (await readdir(this.#folder)).filter(name => !name.startsWith('maestro-'))
    const dated = await Promise.all(
      names.map(async name => ({ path: join(this.#folder, name), usedMs: (await stat(join(this.#folder, name))).mtimeMs })),
    )
    dated.sort((a, b) => b.usedMs - a.usedMs)
    for (const { path } of dated.slice(snapshotsMax)) await rm(path, { recursive: true, force: true })
  }
}
