import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { ConductorError, type Leaks } from '@maestro/contract'
import type { Python } from '../../find-python.ts'
import type { World } from '../../world.ts'
import type { Cgroup } from '../cgroup/cgroup.ts'
import { type CgroupBase, findCgroups } from '../cgroup/cgroups.ts'
import { preparedFolderOf } from '../command.ts'
import { limitsWithBridge } from '../egress/bridged-command.ts'
import type { EgressProxy } from '../egress/egress-proxy.ts'
import { bridgePath } from '../egress/egress-proxy.ts'
import type { EgressRules } from '../egress/egress-rules.ts'
import { writeEtc } from '../etc.ts'
import { insideUid } from '../inside.ts'
import { Inventory } from '../inventory.ts'
import { removeLeftovers } from '../leftovers.ts'
import { feed, NamespacedTree, readInitPid } from '../namespaced-tree.ts'
import { makeRunFolder } from '../owner.ts'
import { ReadableBundles } from '../readable-bundles.ts'
import type { DriverCheck, Sandbox, SandboxDriver, SandboxLimits, SandboxSpec } from '../sandbox.ts'
import { type ResourceLimits, shimmed } from '../shim.ts'
import { startSandbox } from '../start-sandbox.ts'
import type { ProcessTree } from '../stdio-upstream.ts'
import { pythonPlaces } from '../system-tree.ts'
import { makeUidSource } from '../uids.ts'
import { withPython } from '../with-python.ts'
import { bubblewrapOptions, commandAsNobody, descriptor } from './arguments.ts'
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
/** bubblewrap's own two processes count against the limit too. */
const ownProcesses = 2
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
  readonly #readable = new ReadableBundles()
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
    if (this.#nextUid !== null) await this.#readable.ensure(spec)
    return startSandbox(
      {
        driver: this.name,
        world: this.#world,
        folder: this.#folder,
        egress: this.#egress,
        inventory: this.#inventory,
        running: this.#running,
        cgroups: this.#cgroups,
        groupLimits: this.#groupLimits(spec),
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
    const [program, ...args] = shimmed(cgroup?.entrances ?? [], { openFilesMax }, [
      ...[
        'bwrap',
        '--seccomp',
        `${descriptor.seccomp}`,
        '--info-fd',
        `${descriptor.info}`,
        '--args',
        `${descriptor.options}`,
        '--',
      ],
      ...(cgroup ? inside : shimmed([], this.#insideLimits(spec), inside)),
    ])
    const filterDescriptor = openSync(filter, 'r')
    let child: ChildProcess
    try {
      child = spawn(program!, args, {
        stdio: ['pipe', 'pipe', 'pipe', filterDescriptor, 'pipe', 'pipe', ...(this.#nextUid !== null ? ['pipe' as const] : [])],
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
      feed(child, descriptor.options, options.map(option => `${option}\0`).join(''))
      const init = await readInitPid(child, descriptor.info, this.#world)
      tree.began(init)
      if (this.#nextUid) this.#mapIdentity(init, child, this.#nextUid())
      return tree
    } catch (cause) {
      return await tree.failStart('bubblewrap', spec.id, cause)
    }
  }

  /** Root inside stays root outside until the server's identity is taken: nobody inside, a uid of its own outside. */
  #mapIdentity(pid: number, child: ChildProcess, uid: number): void {
    const map = `0 0 1\n${insideUid} ${uid} 1\n`
    writeFileSync(`/proc/${pid}/uid_map`, map)
    writeFileSync(`/proc/${pid}/gid_map`, map)
    feed(child, descriptor.userNamespace, '1')
  }

  #insideLimits(spec: SandboxSpec): ResourceLimits {
    const { memoryBytesMax, pidsMax } = limitsWithBridge(spec)
    return { openFilesMax, memoryBytesMax, processesMax: pidsMax + ownProcesses }
  }

  #groupLimits(spec: SandboxSpec): SandboxLimits {
    const limits = limitsWithBridge(spec)
    return { ...limits, pidsMax: limits.pidsMax + ownProcesses }
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
}

/** The command that most likely makes it work. */
function mend(why: string): string {
  if (/setting up uid map|No permissions to creat|Operation not permitted|clone|user namespace/i.test(why)) {
    return 'allow user namespaces: sysctl -w kernel.unprivileged_userns_clone=1, on Ubuntu also kernel.apparmor_restrict_unprivileged_userns=0; in a container add --security-opt seccomp=unconfined --cap-add SYS_ADMIN'
  }
  return 'set MAESTRO_DRIVER=process to run without isolation'
}
