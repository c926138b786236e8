import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { accessSync, chmodSync, constants, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { ConductorError, type Leaks } from '@maestro/contract'
import type { World } from '../../world.ts'
import type { Cgroup } from '../cgroup/cgroup.ts'
import { type CgroupBase, findCgroups } from '../cgroup/cgroups.ts'
import { preparedFolderOf } from '../command.ts'
import { limitsWithBridge } from '../egress/bridged-command.ts'
import type { EgressProxy } from '../egress/egress-proxy.ts'
import { bridgePath } from '../egress/egress-proxy.ts'
import type { EgressRules } from '../egress/egress-rules.ts'
import { writeEtc } from '../etc.ts'
import { Inventory } from '../inventory.ts'
import { removeLeftovers } from '../leftovers.ts'
import { feed, NamespacedTree, readInitPid } from '../namespaced-tree.ts'
import { makeRunFolder } from '../owner.ts'
import { ReadableBundles } from '../readable-bundles.ts'
import type { DriverCheck, Sandbox, SandboxDriver, SandboxLimits, SandboxSpec } from '../sandbox.ts'
import { shimmed } from '../shim.ts'
import { startSandbox } from '../start-sandbox.ts'
import { type HostPlaces, pythonPlaces } from '../system-tree.ts'
import { makeUidSource } from '../uids.ts'
import { withPython } from '../with-python.ts'
import { descriptor, outerOptions, runscCommand } from './arguments.ts'
import { ociConfig } from './oci.ts'
import { findPlatform, type Platform } from './platform.ts'
import { staged } from './staged.ts'

export interface GvisorOptions {
  /** What the operator says of the network, for every sandbox alike. */
  egress?: EgressRules
  /** Where control groups can be made; found by looking where it is left out, null to do without. */
  cgroups?: CgroupBase | null
}

const openFilesMax = 65_536
/** The kernel of gVisor, its file server and bubblewrap take memory and threads of their own, beside what the server takes. */
const ownMemoryBytes = 96 * 1024 * 1024
const ownTasks = 96
/**
 * Threads of the machine behind one process of the server, measured 9 with ptrace: what executes its code, and those of gVisor's kernel
 * that wait for it. Processes themselves are counted by that kernel; this bounds what it takes for them.
 */
const tasksPerTask = 12
const checkMsMax = 10_000
/** A probe of a platform that hangs is given up after this. */
const probeMsMax = 8_000

const install =
  'install runsc (Debian and Ubuntu: apt-get install runsc; elsewhere a release from gvisor.dev, put on PATH as runsc)'

/**
 * Runs each server on a kernel of its own, gVisor's, which is a program: the server's system calls end there and not in the machine's
 * kernel. https://gvisor.dev
 * runsc never runs in the namespaces of the machine, where it was seen to unmount /proc and cover /tmp: bubblewrap makes it a place of its
 * own first, in which it is root of nothing but what the server may read.
 */
export class GvisorDriver implements SandboxDriver {
  readonly name = 'gvisor'
  readonly #world: World
  readonly #egress: EgressRules
  readonly #cgroups: CgroupBase | null
  readonly #folder: string
  readonly #etc: string
  /** Where a root Conductor puts things for somebody who may not go where they are; null for an ordinary user. */
  readonly #stage: string | null
  readonly #nextUid: (() => number) | null
  readonly #running = new Set<Sandbox>()
  readonly #readable = new ReadableBundles()
  readonly #inventory: Inventory

  constructor(world: World, options: GvisorOptions = {}) {
    this.#world = world
    this.#egress = options.egress ?? {}
    this.#cgroups = options.cgroups === undefined ? findCgroups() : options.cgroups
    removeLeftovers(this.#cgroups, world)
    this.#folder = makeRunFolder()
    // gVisor keeps the server's memory in a file of its own, for which no process can be made to answer.
    this.#inventory = new Inventory(this.#cgroups, this.#folder, () => null)
    this.#etc = writeEtc(this.#folder)
    this.#nextUid = process.getuid?.() === 0 ? makeUidSource() : null
    this.#stage = this.#nextUid ? makeStage() : null
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
    if (process.platform !== 'linux') return unusable(`gVisor needs Linux, this is ${process.platform}`)
    const program = this.#findRunsc()
    if (!program) return unusable(`runsc was not found: ${install}`)
    if (!this.#findProgram('bwrap'))
      return unusable('bwrap was not found, in which runsc is run: install bubblewrap (apt-get install bubblewrap)')
    let version: string
    try {
      // Asking for the version builds no sandbox.
      const { stdout } = await promisify(execFile)(program, ['--version'], { timeout: checkMsMax })
      version = stdout.split('\n')[0]!.replace('version ', '').trim()
    } catch (cause) {
      return unusable(`runsc does not run: ${cause instanceof Error ? cause.message.trim() : cause}`)
    }
    let platform: Platform
    try {
      platform = await this.#platform(program)
    } catch (cause) {
      return unusable(`${version} cannot make a sandbox here: ${cause instanceof Error ? cause.message : String(cause)}`)
    }
    return {
      usable: true,
      detail: `${version}, platform ${platform}${this.#cgroups ? `, cgroup v${this.#cgroups.version}` : ''}`,
      weaknesses: this.#weaknesses(platform),
    }
  }

  async start(spec: SandboxSpec): Promise<Sandbox> {
    const program = this.#findRunsc()
    if (!program) throw new ConductorError('sandbox_unavailable', `runsc was not found: ${install}`)
    return this.#start(await withPython(spec), program, await this.#platform(program))
  }

  async close(): Promise<void> {
    await Promise.all([...this.#running].map(sandbox => sandbox.close()))
    await this.#inventory.close()
    rmSync(this.#folder, { recursive: true, force: true })
    if (this.#stage) rmSync(this.#stage, { recursive: true, force: true })
  }

  async #start(spec: SandboxSpec, program: string, platform: Platform): Promise<Sandbox> {
    // The server is nobody to gVisor's kernel too, which looks at the modes of files itself.
    await this.#readable.ensure(spec)
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
        spawn: (enriched, cgroup, egress) => this.#spawn(enriched, program, platform, cgroup, egress),
      },
      spec,
    )
  }

  async #spawn(
    spec: SandboxSpec,
    program: string,
    platform: Platform,
    cgroup: Cgroup | null,
    egress: EgressProxy | null,
  ): Promise<NamespacedTree> {
    if (Object.values(spec.env).some(value => value.includes('\0'))) {
      throw new ConductorError('sandbox_start_failed', `an environment value of ${spec.id} holds a NUL character`, {
        sandbox: spec.id,
      })
    }
    const places: HostPlaces = {
      node: process.execPath,
      etc: this.#etc,
      bundle: spec.bundle,
      python: pythonPlaces(spec.python),
      prepared: preparedFolderOf(spec),
      egress: egress && { socket: egress.path, bridge: bridgePath, ca: egress.caPath },
    }
    const command = ['bwrap', '--info-fd', `${descriptor.info}`, '--args', `${descriptor.options}`, '--']
    const inside = runscCommand(spec.id, platform, egress !== null)
    const outside =
      this.#stage && this.#nextUid
        ? staged(this.#stage, places, program, this.#nextUid())
        : { places, program, prefix: [] as string[] }
    const [shell, ...args] = shimmed(cgroup?.entrances ?? [], { openFilesMax }, [...outside.prefix, ...command, ...inside])
    const child: ChildProcess = spawn(shell!, args, {
      stdio: ['pipe', 'pipe', 'pipe', 'pipe', 'pipe', 'pipe'],
      // Nothing of ours: neither shell nor bubblewrap may be led by variables of a deployment, nor the server see any of Conductor's.
      env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin' },
      cwd: '/',
      detached: true,
    })
    const tree = new NamespacedTree(child, cgroup, egress, this.#world, this.#inventory)
    try {
      const options = outerOptions(outside.places, outside.program, platform)
      feed(child, descriptor.options, options.map(option => `${option}\0`).join(''))
      feed(child, descriptor.config, JSON.stringify(ociConfig(spec, egress !== null, cgroup !== null)))
      tree.began(await readInitPid(child, descriptor.info, this.#world))
      return tree
    } catch (cause) {
      return await tree.failStart('gvisor', spec.id, cause)
    }
  }

  #platform(program: string): Promise<Platform> {
    return findPlatform(program, platform => this.#probe(program, platform))
  }

  /** Runs a sandbox that does nothing, the whole way. */
  async #probe(program: string, platform: Platform): Promise<void> {
    writeFileSync(join(this.#etc, 'probe.cjs'), 'process.exit(0)\n')
    const spec: SandboxSpec = {
      id: `sbx_000000000000${platform.padEnd(8, '0')}` as SandboxSpec['id'],
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
    const sandbox = await this.#start(spec, program, platform)
    const cancel = this.#world.after(probeMsMax, () => void sandbox.close())
    const exit = await sandbox.exited
    cancel()
    if (exit.reason === 'closed') throw new Error(`platform ${platform} did not run a program within ${probeMsMax} ms`)
    if (exit.code !== 0) throw new Error(exit.stderrTail || `the probe ended with ${exit.code ?? exit.signal}`)
  }

  #weaknesses(platform: Platform): string[] {
    const weaknesses: string[] = []
    if (platform === 'ptrace')
      weaknesses.push('platform ptrace: system calls are slow (mend: a runsc of 2023 or newer has systrap)')
    if (!this.#cgroups) {
      weaknesses.push(
        'no writable cgroup: memory is bounded per process only and 2 GiB later than asked for, CPU not at all (mend: run under `systemd-run --user --scope -p Delegate=yes`, or as root)',
      )
    } else {
      const missing = (['memory', 'pids', 'cpu'] as const).filter(controller => !this.#cgroups?.folders.has(controller))
      if (missing.length > 0) weaknesses.push(`no writable cgroup for ${missing.join(', ')}: not bounded`)
    }
    if (process.getuid?.() === 0 && !this.#nextUid)
      weaknesses.push('root of a range without uid 65534: gVisor itself runs as our own uid outside')
    return weaknesses
  }

  #groupLimits(spec: SandboxSpec): SandboxLimits {
    const limits = limitsWithBridge(spec)
    return {
      ...limits,
      memoryBytesMax: limits.memoryBytesMax + ownMemoryBytes,
      pidsMax: limits.pidsMax * tasksPerTask + ownTasks,
    }
  }

  #findRunsc(): string | null {
    return this.#findProgram('runsc')
  }

  #findProgram(name: string): string | null {
    for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
      const path = join(folder, name)
      try {
        accessSync(path, constants.X_OK)
        return path
      } catch {
        // The next folder of PATH may have it.
      }
    }
    return null
  }
}

/** A folder that everybody may enter; what is mounted in it, only the processes of one sandbox see. */
function makeStage(): string {
  const folder = makeRunFolder()
  chmodSync(folder, 0o755)
  for (const name of ['etc', 'bundle', 'prepared', 'python']) mkdirSync(join(folder, name), { mode: 0o755 })
  for (const name of ['node', 'runsc', 'bridge', 'socket', 'ca', 'python3'])
    writeFileSync(join(folder, name), '', { mode: 0o644 })
  return folder
}
