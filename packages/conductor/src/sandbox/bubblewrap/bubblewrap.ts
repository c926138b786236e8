import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { promisify } from 'node:util'
import { ConductorError, type Leaks } from '@maestro/contract'
import type { Python } from '../../find-python.ts'
import type { World } from '../../world.ts'
import type { Cgroup } from '../cgroup/cgroup.ts'
import { type CgroupBase, findCgroups, makeCgroup } from '../cgroup/cgroups.ts'
import { preparedFolderOf } from '../command.ts'
import { limitsWithBridge } from '../egress/bridged-command.ts'
import type { EgressProxy } from '../egress/egress-proxy.ts'
import { bridgePath } from '../egress/egress-proxy.ts'
import type { EgressRules } from '../egress/egress-rules.ts'
import { writeEtc } from '../etc.ts'
import { insideUid } from '../inside.ts'
import { Inventory } from '../inventory.ts'
import { removeLeftovers } from '../leftovers.ts'
import { makeReadable } from '../make-readable.ts'
import { lastWords, NamespacedTree, pipeOf, readInitPid } from '../namespaced-tree.ts'
import { makeRunFolder } from '../owner.ts'
import type { DriverCheck, Sandbox, SandboxDriver, SandboxSpec } from '../sandbox.ts'
import { type ResourceLimits, shimmed } from '../shim.ts'
import { startSandbox } from '../start-sandbox.ts'
import type { ProcessTree } from '../stdio-upstream.ts'
import { pythonPlaces } from '../system-tree.ts'
import { makeUidSource } from '../uids.ts'
import { withPython } from '../with-python.ts'
import { awaitGate, boundWatchers, bubblewrapOptions, commandAsNobody, descriptor } from './arguments.ts'
import { type Emptiness, maskedProc } from './masked-proc.ts'
import { assembleFilter, encodeFilter } from './seccomp/assemble.ts'
import { sandboxPolicy } from './seccomp/policy.ts'
import { architectureOf } from './seccomp/syscalls.ts'

export interface BubblewrapOptions {
  /** What the operator says of the network, for every sandbox alike. */
  egress?: EgressRules
  /** Where control groups can be made; found by looking where it is left out, null to do without. */
  cgroups?: CgroupBase | null
  /** Runs Python servers; found by looking where it is left out. */
  python?: Python
}

const openFilesMax = 4096
/** bubblewrap's own process in the namespace counts against the limit too. */
const ownProcesses = 1
const checkMsMax = 10_000

const install = 'install bubblewrap (Debian and Ubuntu: apt-get install bubblewrap; Fedora: dnf install bubblewrap)'

/**
 * Runs each server in namespaces of its own, behind a system call filter and a control group. https://github.com/containers/bubblewrap
 * Holds a run folder until `close`.
 */
export class BubblewrapDriver implements SandboxDriver {
  readonly name = 'bubblewrap'
  readonly #world: World
  readonly #egress: EgressRules
  readonly #cgroups: CgroupBase | null
  readonly #python: Python | undefined
  readonly #folder: string
  readonly #etc: string
  /** Options that hide what /proc tells of the machine. */
  readonly #masks: readonly string[]
  readonly #nextUid: (() => number) | null
  readonly #running = new Set<Sandbox>()
  readonly #readable = new Map<string, Promise<void>>()
  readonly #filters = new Map<boolean, string>()
  readonly #inventory: Inventory

  constructor(world: World, options: BubblewrapOptions = {}) {
    this.#world = world
    this.#egress = options.egress ?? {}
    this.#cgroups = options.cgroups === undefined ? findCgroups() : options.cgroups
    this.#python = options.python
    removeLeftovers(this.#cgroups, world)
    this.#folder = makeRunFolder()
    this.#inventory = new Inventory(this.#cgroups, this.#folder)
    this.#nextUid = process.getuid?.() === 0 ? makeUidSource() : null
    this.#masks = process.platform === 'linux' ? maskedProc(this.#makeNothing(), process.getuid?.() === 0 && !this.#nextUid) : []
    this.#etc = writeEtc(this.#folder)
  }

  /** Processes of ours that were found alive after their sandbox had ended. */
  get orphans(): number {
    return this.#inventory.orphans
  }

  leaks(): Promise<Leaks> {
    return this.#inventory.leaks()
  }

  async check(): Promise<DriverCheck> {
    const unusable = (detail: string): DriverCheck => ({ usable: false, detail, weaknesses: [] })
    if (process.platform !== 'linux')
      return unusable(`bubblewrap needs Linux, this is ${process.platform}; set MAESTRO_DRIVER=process`)
    if (!architectureOf(process.arch)) return unusable(`no system call filter for ${process.arch}; set MAESTRO_DRIVER=process`)
    let version: string
    try {
      version = (await promisify(execFile)('bwrap', ['--version'], { timeout: checkMsMax })).stdout.trim()
    } catch {
      return unusable(`bwrap was not found: ${install}`)
    }
    try {
      await this.#probe()
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause)
      return unusable(`${version} cannot make a sandbox here: ${why} (${mend(why)})`)
    }
    return {
      usable: true,
      detail: `${version}, namespaces, system call filter${this.#cgroups ? `, cgroup v${this.#cgroups.version}` : ''}`,
      weaknesses: this.#weaknesses(),
    }
  }

  async start(asked: SandboxSpec): Promise<Sandbox> {
    const spec = await withPython(asked, this.#python)
    const filter = this.#filterFile(spec.egress.length > 0)
    if (this.#nextUid !== null) await this.#ensureReadable(spec)
    return startSandbox(
      {
        driver: this.name,
        world: this.#world,
        folder: this.#folder,
        egress: this.#egress,
        inventory: this.#inventory,
        running: this.#running,
        makeCgroup: bounded => this.#makeCgroup(bounded),
        spawn: (enriched, cgroup, egress) => {
          const asRoot = this.#nextUid !== null
          const places = {
            node: process.execPath,
            etc: this.#etc,
            bundle: spec.bundle,
            python: pythonPlaces(spec.python),
            prepared: preparedFolderOf(spec),
            egress: egress && { socket: egress.path, bridge: bridgePath, ca: egress.caPath },
          }
          const options = bubblewrapOptions(enriched, places, asRoot, this.#masks)
          return this.#spawn(options, commandAsNobody(spec, egress !== null, asRoot), filter, spec, cgroup, egress)
        },
      },
      spec,
    )
  }

  async close(): Promise<void> {
    await Promise.all([...this.#running].map(sandbox => sandbox.close()))
    await this.#inventory.close()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #makeNothing(): Emptiness {
    const empty = { file: join(this.#folder, 'empty'), folder: join(this.#folder, 'empty-folder') }
    writeFileSync(empty.file, '', { mode: 0o444 })
    mkdirSync(empty.folder, { mode: 0o555 })
    return empty
  }

  /** Runs a sandbox that does nothing, the whole way. */
  async #probe(): Promise<void> {
    const spec: SandboxSpec = {
      id: 'sbx_000000000000000check' as SandboxSpec['id'],
      bundle: this.#etc,
      program: { runtime: 'node', entry: 'probe.cjs' },
      args: [],
      env: {},
      egress: [],
      limits: {
        memoryBytesMax: 512 * 1024 * 1024,
        pidsMax: 64,
        cpusMax: 1,
        diskBytesMax: 1024 * 1024,
        lineBytesMax: 1024 * 1024,
      },
    }
    writeFileSync(join(this.#etc, 'probe.cjs'), 'process.exit(0)\n')
    const sandbox = await this.start(spec)
    const exit = await sandbox.exited
    if (exit.code !== 0) throw new Error(exit.stderrTail || `the probe ended with ${exit.code ?? exit.signal}`)
  }

  #weaknesses(): string[] {
    const weaknesses: string[] = []
    if (!this.#cgroups) {
      weaknesses.push(
        'no writable cgroup: memory is bounded per process by rlimit only, CPU not at all (mend: run under `systemd-run --user --scope -p Delegate=yes`, or as root)',
      )
    } else {
      const missing = (['memory', 'pids', 'cpu'] as const).filter(controller => !this.#cgroups?.folders.has(controller))
      if (missing.length > 0) weaknesses.push(`no writable cgroup for ${missing.join(', ')}: not bounded`)
    }
    if (process.getuid?.() === 0 && !this.#nextUid)
      weaknesses.push('root of a range without uid 65534: servers run as our own uid outside')
    return weaknesses
  }

  async #spawn(
    options: readonly string[],
    inside: readonly string[],
    filter: string,
    spec: SandboxSpec,
    cgroup: Cgroup | null,
    egress: EgressProxy | null,
  ): Promise<ProcessTree> {
    // Options are told apart by NUL: one inside a value, of a secret for instance, would begin an option of its own.
    if (options.some(option => option.includes('\0'))) {
      throw new ConductorError('sandbox_start_failed', `an environment value of ${spec.id} holds a NUL character`, {
        sandbox: spec.id,
      })
    }
    const asRoot = this.#nextUid !== null
    const limits = cgroup ? { openFilesMax } : this.#insideLimits(spec)
    const args = [
      ...['--seccomp', `${descriptor.seccomp}`, '--info-fd', `${descriptor.info}`, '--args', `${descriptor.options}`, '--'],
      ...shimmed([], limits, inside, [...(cgroup ? [awaitGate] : []), ...(asRoot ? [boundWatchers] : [])]),
    ]
    const filterDescriptor = openSync(filter, 'r')
    let child: ChildProcess
    try {
      child = spawn('bwrap', args, {
        stdio: ['pipe', 'pipe', 'pipe', filterDescriptor, 'pipe', 'pipe', 'pipe', ...(asRoot ? ['pipe' as const] : [])],
        // Nothing of ours: neither shell nor bubblewrap may be led by variables of a deployment, nor the server see any of Conductor's.
        env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin' },
        cwd: '/',
        detached: true,
      })
    } finally {
      closeSync(filterDescriptor)
    }
    const tree = new NamespacedTree(child, cgroup, egress, this.#world, this.#inventory)
    try {
      const optionsPipe = pipeOf(child, descriptor.options)
      optionsPipe.on('error', () => {})
      optionsPipe.end(options.map(option => `${option}\0`).join(''))
      const init = await readInitPid(child, descriptor.info, this.#world)
      tree.began(init)
      if (this.#nextUid) this.#mapIdentity(init, pipeOf(child, descriptor.userNamespace), this.#nextUid())
      await cgroup?.enter(init)
      tree.checkOuter()
      pipeOf(child, descriptor.gate)
        .on('error', () => {})
        .end('go\n')
      return tree
    } catch (cause) {
      tree.kill()
      const said = await lastWords(child, this.#world)
      await tree.gone
      throw new ConductorError(
        'sandbox_start_failed',
        `bubblewrap: ${said || (cause as Error).message}`,
        { sandbox: spec.id },
        cause,
      )
    }
  }

  /** Root inside stays root outside until the server's identity is taken: nobody inside, a uid of its own outside. */
  #mapIdentity(pid: number, waiting: Duplex, uid: number): void {
    const map = `0 0 1\n${insideUid} ${uid} 1\n`
    writeFileSync(`/proc/${pid}/uid_map`, map)
    writeFileSync(`/proc/${pid}/gid_map`, map)
    waiting.on('error', () => {})
    waiting.end('1')
  }

  #insideLimits(spec: SandboxSpec): ResourceLimits {
    const { memoryBytesMax, pidsMax } = limitsWithBridge(spec)
    return { openFilesMax, memoryBytesMax, processesMax: pidsMax + ownProcesses }
  }

  #makeCgroup(spec: SandboxSpec): Cgroup | null {
    if (!this.#cgroups) return null
    const limits = limitsWithBridge(spec)
    try {
      return makeCgroup(this.#cgroups, spec.id, { ...limits, pidsMax: limits.pidsMax + ownProcesses })
    } catch (cause) {
      throw new ConductorError(
        'sandbox_start_failed',
        `the control group of ${spec.id} could not be made`,
        { sandbox: spec.id },
        cause,
      )
    }
  }

  #filterFile(inet: boolean): string {
    let path = this.#filters.get(inet)
    if (!path) {
      const architecture = architectureOf(process.arch)
      if (!architecture) throw new ConductorError('sandbox_unavailable', `no system call filter for ${process.arch}`)
      path = join(this.#folder, inet ? 'seccomp-inet' : 'seccomp')
      writeFileSync(path, encodeFilter(assembleFilter(architecture, sandboxPolicy({ inet }))))
      this.#filters.set(inet, path)
    }
    return path
  }

  #ensureReadable(spec: SandboxSpec): Promise<void> {
    const key = join(spec.bundle, spec.program.entry)
    let done = this.#readable.get(key)
    if (!done) {
      done = makeReadable(spec.bundle, spec.program.entry).catch(cause => {
        this.#readable.delete(key)
        throw new ConductorError('sandbox_start_failed', `the bundle of ${spec.id} cannot be read`, { sandbox: spec.id }, cause)
      })
      this.#readable.set(key, done)
    }
    return done
  }
}

/** The command that most likely makes it work. */
function mend(why: string): string {
  if (/setting up uid map|No permissions to creat|Operation not permitted|clone|user namespace/i.test(why)) {
    return 'allow user namespaces: sysctl -w kernel.unprivileged_userns_clone=1, on Ubuntu also kernel.apparmor_restrict_unprivileged_userns=0; in a container add --security-opt seccomp=unconfined --cap-add SYS_ADMIN'
  }
  return 'set MAESTRO_DRIVER=process to run without isolation'
}
