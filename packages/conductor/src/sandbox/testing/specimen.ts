/** A sandbox under test: the probe server with a mark in its environment by which its processes are found. */
import { randomUUID } from 'node:crypto'
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { makeId, type TapeEvent } from '@maestro/contract'
import type { Log } from '../../telemetry/log.ts'
import { realWorld, type World } from '../../world.ts'
import { loaderFolder } from '../command.ts'
import { processesWithCommand, processesWithEnvironment } from '../processes.ts'
import type { Exit, Sandbox, SandboxDriver, SandboxLimits, SandboxSpec } from '../sandbox.ts'

const MiB = 1024 * 1024

export const roomyLimits: SandboxLimits = {
  memoryBytesMax: 256 * MiB,
  pidsMax: 64,
  cpusMax: 2,
  diskBytesMax: 16 * MiB,
  lineBytesMax: 4 * MiB,
}

export function quietWorld(): World {
  const log: Log = { info: () => {}, warn: () => {}, error: () => {}, with: () => log }
  return realWorld(log)
}

/** A bundle that holds the probe. */
export function makeProbeBundle(): { folder: string; remove(): void } {
  const parent = mkdtempSync(join(tmpdir(), 'probe-'))
  const folder = join(parent, 'bundle')
  mkdirSync(folder)
  copyFileSync(fileURLToPath(new URL('./probe.cjs', import.meta.url)), join(folder, 'probe.cjs'))
  return { folder, remove: () => rmSync(parent, { recursive: true, force: true }) }
}

/** A prepared folder whose one file is the probe, as a release's would be (`faststart/one-file.ts`). */
export function makePreparedProbe(): { folder: string; remove(): void } {
  const folder = mkdtempSync(join(tmpdir(), 'prepared-probe-'))
  chmodSync(folder, 0o755)
  const probe = readFileSync(fileURLToPath(new URL('./probe.cjs', import.meta.url)), 'utf8')
  const text = `(function (maestro) { maestro.run = async () => { const require = maestro.at('probe.cjs').require; ${probe}; globalThis.fromPrepared = true } })`
  writeFileSync(join(folder, 'program.js'), text)
  writeFileSync(join(folder, 'program.json'), JSON.stringify({ entry: 'probe.cjs', ahead: [] }))
  copyFileSync(join(loaderFolder, 'start.cjs'), join(folder, 'start.cjs'))
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) }
}

export class Specimen {
  readonly sandbox: Sandbox
  readonly mark: string
  readonly frames: string[] = []
  readonly events: TapeEvent[] = []
  #next = 1
  readonly #waiting = new Map<number, (answer: { value?: unknown; error?: string }) => void>()

  constructor(sandbox: Sandbox, mark: string) {
    this.sandbox = sandbox
    this.mark = mark
    sandbox.onEvent(event => this.events.push(event))
    sandbox.onFrame(frame => {
      const text = Buffer.from(frame).toString('utf8')
      this.frames.push(text)
      const answer = text.length < 100_000 ? JSON.parse(text) : {}
      this.#waiting.get(answer.id)?.(answer)
      this.#waiting.delete(answer.id)
    })
  }

  /** Runs code inside. Gives its value, or `{ error }` with the code or message of what it threw. Throws when the sandbox ends first. */
  async ask<T = unknown>(code: string): Promise<T> {
    const id = this.#next++
    const answered = new Promise<{ value?: unknown; error?: string }>(resolve => this.#waiting.set(id, resolve))
    this.sandbox.send(Buffer.from(JSON.stringify({ id, eval: code })))
    const first = await Promise.race([answered, this.sandbox.exited])
    if ('stderrTail' in first) throw new Error(`ended: ${first.reason}: ${first.stderrTail}`)
    return (first.error === undefined ? first.value : { error: first.error }) as T
  }

  /** Runs code inside that ends the sandbox. */
  async askLast(code: string): Promise<Exit> {
    this.sandbox.send(Buffer.from(JSON.stringify({ id: this.#next++, eval: code })))
    return this.sandbox.exited
  }

  /** Processes of it that run. */
  alive(): number[] {
    return processesOf(this.mark, this.sandbox.id)
  }
}

/** Processes of the machine that belong to a sandbox: the server's have the mark, those of a kernel of its own are named by its id. */
export const processesOf = (mark: string, id: string): number[] => [
  // Not every program takes an id with an underscore.
  ...new Set([...processesWithEnvironment(mark), ...processesWithCommand(id), ...processesWithCommand(id.replaceAll('_', '-'))]),
]

export async function startSpecimen(
  driver: SandboxDriver,
  bundle: string,
  changes: Partial<Omit<SandboxSpec, 'limits'>> & { limits?: Partial<SandboxLimits> } = {},
  marked = true,
): Promise<Specimen> {
  const mark = randomUUID()
  const world = quietWorld()
  const sandbox = await driver.start({
    id: makeId('sbx', world.now(), world.randomBytes(11)),
    bundle,
    program: { runtime: 'node', entry: 'probe.cjs' },
    args: [],
    egress: [],
    ...changes,
    env: { ...(marked ? { SPECIMEN: mark } : {}), ...changes.env },
    limits: { ...roomyLimits, ...changes.limits },
  })
  return new Specimen(sandbox, mark)
}

/** Waits for a condition, looking often. Fails after `msMax`. */
export async function until(what: string, condition: () => boolean, msMax = 10_000): Promise<void> {
  const deadline = performance.now() + msMax
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`not within ${msMax} ms: ${what}`)
    await setTimeout(5)
  }
}
