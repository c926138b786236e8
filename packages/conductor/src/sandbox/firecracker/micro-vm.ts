import { type ChildProcess, spawn } from 'node:child_process'
import { constants, open } from 'node:fs/promises'
import { setTimeout } from 'node:timers/promises'
import { ConductorError } from '@maestro/contract'
import type { World } from '../../world.ts'
import type { Cgroup } from '../cgroup/cgroup.ts'
import type { Watchdog } from '../process/watchdog.ts'
import { groupRuns, signalTo } from '../processes.ts'
import { shimmed } from '../shim.ts'
import { FirecrackerApi } from './api.ts'
import { Jail, type JailBounds, type JailIdentity, jailerCommand, type Programs } from './jailer.ts'

export interface LaunchPlan {
  programs: Programs
  /** The folder in which jails are made. */
  base: string
  identity: JailIdentity
  bounds: JailBounds
  /** What lies in the jail: name inside, file outside. */
  files: Readonly<Record<string, string>>
  cgroup: Cgroup | null
  world: World
  /** Folders in which programs are looked for. */
  path: string
  /** Ends the process group when we cannot. */
  watchdog: Watchdog
}

export interface VmEnd {
  /** The kernel ended something of it for memory. */
  limitReached: boolean
  /** Processes that would not go. */
  left: number
}

const readyMsMax = 5000
const readyPollMs = 5
const killedMsMax = 3000
const pollMs = 5
const saidBytesMax = 4096
const logName = 'log'

/** One Firecracker process in its jail, with the machine in it or without one yet. */
export class MicroVm {
  readonly api: FirecrackerApi
  readonly jail: Jail
  /** Settles once nothing of it runs and nothing of it is left on the machine. Never rejects. */
  readonly gone: Promise<VmEnd>
  readonly #child: ChildProcess
  readonly #cgroup: Cgroup | null
  readonly #world: World
  #said = ''
  #over = false

  private constructor(child: ChildProcess, jail: Jail, { cgroup, world, watchdog }: LaunchPlan) {
    this.#child = child
    this.#cgroup = cgroup
    this.#world = world
    this.jail = jail
    this.api = new FirecrackerApi(jail.apiSocket, world)
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#said = (this.#said + text).slice(-saidBytesMax)
    })
    // The jailer ends once Firecracker runs. What holds its standard error open after that is Firecracker: `close` is the end of both.
    const closed = new Promise<void>(resolve => {
      child.once('close', () => resolve())
      child.once('error', () => resolve())
    })
    if (child.pid) watchdog.watch(child.pid)
    this.gone = closed.then(() => this.#clean(watchdog))
  }

  /** Makes the jail and starts Firecracker in it. Resolves when it answers; throws `sandbox_start_failed`, and nothing is left then. */
  static async launch(plan: LaunchPlan): Promise<MicroVm> {
    const { programs, base, identity, bounds, cgroup } = plan
    let jail: Jail
    try {
      jail = await Jail.make(base, programs.firecracker, identity, plan.files)
    } catch (cause) {
      cgroup?.remove()
      throw new ConductorError('sandbox_start_failed', `no jail for ${identity.id}`, { sandbox: identity.id }, cause)
    }
    const [program, ...args] = shimmed(cgroup?.entrances ?? [], bounds, jailerCommand(programs, base, identity, bounds))
    const child = spawn(program!, args, {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { PATH: plan.path },
      cwd: '/',
      detached: true,
    })
    const vm = new MicroVm(child, jail, plan)
    try {
      await vm.#awaitReady()
      // Before everything else, because a machine that is made from a snapshot takes no other setting.
      await vm.api.setLogger({ log_path: `/${logName}`, level: 'Warning', show_level: true })
      return vm
    } catch (cause) {
      throw await vm.abandon(cause)
    }
  }

  kill(): void {
    if (!this.#over && this.#child.pid) signalTo(-this.#child.pid, 'SIGKILL')
  }

  /** Memory it holds with its guest in it, bytes; null where no control group counts. */
  memoryBytes(): number | null {
    return this.#over ? null : (this.#cgroup?.memoryBytes() ?? null)
  }

  /** Ends it for a failure. Returns the error to throw, with what it said last. */
  async abandon(cause: unknown): Promise<ConductorError> {
    const said = [this.#said.trim(), await this.#lastOfLog()].filter(Boolean).join('; ')
    this.kill()
    await this.gone
    const why = cause instanceof Error ? cause.message : String(cause)
    const message = said ? `${why} (it said: ${said})` : why
    return new ConductorError('sandbox_start_failed', message, { sandbox: this.jail.identity.id }, cause)
  }

  async #awaitReady(): Promise<void> {
    const deadline = this.#world.monotonicMs() + readyMsMax
    const died = this.gone.then(() => {
      throw new Error('the jailer or Firecracker ended at once')
    })
    died.catch(() => {})
    for (;;) {
      try {
        const { state } = await Promise.race([this.api.describe(), died])
        if (state === 'Not started') return
        throw new Error(`a fresh Firecracker that is ${state}`)
      } catch (cause) {
        if (this.#over) await died
        if (this.#world.monotonicMs() > deadline) throw cause
        await Promise.race([this.#world.sleep(readyPollMs), died])
      }
    }
  }

  async #lastOfLog(): Promise<string> {
    try {
      // Whoever runs in the jail could have put anything there, such as a link to a file of ours.
      await using file = await open(this.jail.path(logName), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
      const { size } = await file.stat()
      const { buffer, bytesRead } = await file.read(Buffer.alloc(saidBytesMax), 0, saidBytesMax, Math.max(0, size - saidBytesMax))
      return buffer.toString('utf8', 0, bytesRead).trim()
    } catch {
      return ''
    }
  }

  async #clean(watchdog: Watchdog): Promise<VmEnd> {
    const left = await this.#awaitEmpty()
    if (this.#child.pid) watchdog.forget(this.#child.pid)
    this.#over = true
    this.api.close()
    const limitReached = this.#cgroup?.limitReached() ?? false
    this.#cgroup?.remove()
    await this.jail.remove().catch(cause => {
      this.#world.log.error('sandbox.jail_not_removed', cause, { sandbox: this.jail.identity.id })
    })
    return { limitReached, left }
  }

  /** Waits until the kernel has taken everything away. Returns how many processes would not go. */
  async #awaitEmpty(): Promise<number> {
    const deadline = this.#world.monotonicMs() + killedMsMax
    for (;;) {
      const left = Math.max(this.#child.pid && groupRuns(this.#child.pid) ? 1 : 0, this.#cgroup?.pids().length ?? 0)
      if (left === 0 || this.#world.monotonicMs() > deadline) return left
      this.kill()
      this.#cgroup?.kill()
      // Not World.sleep, which lets the process end meanwhile: what we made must be gone before we are.
      await setTimeout(pollMs)
    }
  }
}
