import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { setTimeout } from 'node:timers/promises'
import { ConductorError, type Leaks } from '@maestro/contract'
import { findPython } from '../../find-python.ts'
import type { World } from '../../world.ts'
import { commandOf, preparedFolderOf, runtimeEnvironment } from '../command.ts'
import { findLeaks } from '../leaks.ts'
import { cleanRunFolders, makeRunFolder } from '../owner.ts'
import { descendantsOf, memoryOf, processesWithEnvironment, signalTo } from '../processes.ts'
import type { DriverCheck, Sandbox, SandboxDriver, SandboxSpec } from '../sandbox.ts'
import { shimmed } from '../shim.ts'
import { type ProcessTree, StdioUpstream, type TreeEnd } from '../stdio-upstream.ts'
import { Watchdog } from './watchdog.ts'

const openFilesMax = 4096
const killedMsMax = 3000
const pollMs = 5

/**
 * Runs each server as a plain child process: it sees what Conductor's user sees and reaches what that user reaches. For development on
 * machines without namespaces; must be asked for by name.
 */
export class ProcessDriver implements SandboxDriver {
  readonly name = 'process'
  readonly #world: World
  readonly #folder: string
  readonly #watchdog: Watchdog
  readonly #running = new Set<Sandbox>()
  /** Sandboxes that exist, those that start or end included. */
  readonly #ids = new Set<string>()
  /** Marks of trees of which something would not go. */
  readonly #strays = new Set<string>()
  #warned = false
  #orphans = 0

  constructor(world: World) {
    this.#world = world
    cleanRunFolders()
    this.#folder = makeRunFolder()
    this.#watchdog = new Watchdog(this.#folder)
  }

  /** Processes of ours that were found alive after their sandbox had ended. */
  get orphans(): number {
    return this.#orphans
  }

  async leaks(): Promise<Leaks> {
    const leaks = await findLeaks({ running: this.#ids, cgroups: null, folder: this.#folder })
    let processes = 0
    for (const mark of this.#strays) {
      const alive = processesWithEnvironment(mark).length
      if (alive === 0) this.#strays.delete(mark)
      processes += alive
    }
    return { ...leaks, processes }
  }

  check(): Promise<DriverCheck> {
    return Promise.resolve({
      usable: process.platform !== 'win32',
      detail: process.platform === 'win32' ? 'needs a Unix system; on Windows run Conductor in WSL 2' : 'plain child processes',
      weaknesses: ['process isolates nothing: a server reads your files and reaches every network you reach'],
    })
  }

  async start(spec: SandboxSpec): Promise<Sandbox> {
    this.#warnOnce()
    this.#ids.add(spec.id)
    try {
      return await this.#start(spec)
    } catch (cause) {
      this.#ids.delete(spec.id)
      throw cause
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#running].map(sandbox => sandbox.close()))
    await this.#watchdog.close()
  }

  async #start(spec: SandboxSpec): Promise<Sandbox> {
    const python = spec.program.runtime === 'python' ? { python: (await findPython()).program } : {}
    const folder = await this.#makeFolder(spec)
    const env = {
      PATH: `${dirname(process.execPath)}:/usr/local/bin:/usr/bin:/bin`,
      HOME: folder,
      TMPDIR: join(folder, 'tmp'),
      LANG: 'C.UTF-8',
      ...runtimeEnvironment(spec.program),
      ...spec.env,
      // Last: by this we know the processes of the tree wherever they went.
      [markName]: folder,
    }
    const limits = { openFilesMax, memoryBytesMax: spec.limits.memoryBytesMax }
    const places = { node: process.execPath, bundle: spec.bundle, prepared: preparedFolderOf(spec) ?? '', ...python }
    const [program, ...args] = shimmed([], limits, commandOf(spec, places))
    const child = spawn(program!, args, { stdio: ['pipe', 'pipe', 'pipe'], env, cwd: join(folder, 'work'), detached: true })
    const started = await new Promise<Error | null>(resolve => {
      child.once('spawn', () => resolve(null))
      child.once('error', resolve)
    })
    if (started) {
      await rm(folder, { recursive: true, force: true })
      throw new ConductorError('sandbox_start_failed', `sandbox ${spec.id} did not start`, { sandbox: spec.id }, started)
    }
    const group = child.pid!
    this.#watchdog.watch(group)
    const tree = new ChildTree(child, folder, async left => {
      this.#orphans += left
      if (left > 0) this.#strays.add(folder)
      this.#watchdog.forget(group)
      await rm(folder, { recursive: true, force: true, maxRetries: 3 })
    })
    const sandbox = new StdioUpstream(this.name, spec, tree, this.#world)
    this.#running.add(sandbox)
    void sandbox.exited.then(() => {
      this.#running.delete(sandbox)
      this.#ids.delete(spec.id)
    })
    return sandbox
  }

  async #makeFolder(spec: SandboxSpec): Promise<string> {
    try {
      const folder = await mkdtemp(join(this.#folder, `${spec.id}-`))
      await mkdir(join(folder, 'tmp'))
      await mkdir(join(folder, 'work'))
      return folder
    } catch (cause) {
      throw new ConductorError('sandbox_start_failed', `no working folder for ${spec.id}`, { sandbox: spec.id }, cause)
    }
  }

  #warnOnce(): void {
    if (this.#warned) return
    this.#warned = true
    this.#world.log.warn('sandbox.not_isolated', {
      driver: 'process',
      message:
        'Servers run with all your rights: they can read your files and reach your network. Use bubblewrap for anything you do not trust.',
    })
  }
}

const markName = 'SANDBOX_FOLDER'

/** A child process, everything it started, and what of it ran away. */
class ChildTree implements ProcessTree {
  readonly stdin: Writable
  readonly stdout: Readable
  readonly stderr: Readable
  readonly gone: Promise<TreeEnd>
  readonly #child: ChildProcess
  readonly #mark: string
  #over = false

  constructor(child: ChildProcess, mark: string, clean: (left: number) => Promise<void>) {
    this.#child = child
    this.#mark = mark
    this.stdin = child.stdin!
    this.stdout = child.stdout!
    this.stderr = child.stderr!
    const exited = new Promise<{ code: number | null; signal: string | null }>(resolve => {
      child.once('exit', (code, signal) => resolve({ code, signal }))
    })
    this.gone = exited.then(async end => {
      const left = await this.#awaitEmpty()
      this.#over = true
      await clean(left)
      return { ...end, limitReached: false }
    })
  }

  interrupt(): void {
    if (!this.#over) signalTo(this.#child.pid!, 'SIGTERM')
  }

  kill(): void {
    if (this.#over) return
    // Those who left the group are looked for while their parents still live, and once more by their mark afterwards.
    const strays = descendantsOf(this.#child.pid!)
    signalTo(-this.#child.pid!, 'SIGKILL')
    for (const pid of strays) signalTo(pid, 'SIGKILL')
  }

  memoryBytes(): number | null {
    return this.#over ? null : memoryOf([this.#child.pid!, ...descendantsOf(this.#child.pid!)])
  }

  async #awaitEmpty(): Promise<number> {
    const { pid } = this.#child
    const deadline = performance.now() + killedMsMax
    for (;;) {
      const groupLives = signalTo(-pid!, 'SIGKILL')
      const strays = processesWithEnvironment(this.#mark)
      for (const stray of strays) signalTo(stray, 'SIGKILL')
      if (!groupLives && strays.length === 0) return 0
      if (performance.now() > deadline) return Math.max(strays.length, 1)
      // Not World.sleep, which lets the process end meanwhile: what we made must be gone before we are.
      await setTimeout(pollMs)
    }
  }
}
