import { execFile } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { promisify } from 'node:util'
import { ConductorError, type Leaks } from '@maestro/contract'
import type { World } from '../../world.ts'
import type { Cgroup } from '../cgroup/cgroup.ts'
import { type CgroupBase, findCgroups, makeCgroup } from '../cgroup/cgroups.ts'
import { preparedFolderOf } from '../command.ts'
import type { EgressRules } from '../egress/egress-rules.ts'
import { type BundleDisk, makeBundleDisk } from '../guest/bundle-disk.ts'
import { GuestEgress } from '../guest/guest-egress.ts'
import { buildImage } from '../guest/image/build-image.ts'
import { checkMke2fs } from '../guest/image/ext4.ts'
import { findImage, type GuestImage } from '../guest/image/guest-image.ts'
import { requireGuestPython } from '../guest/image/require-guest-python.ts'
import { startOf, startsAlike } from '../guest/start-of.ts'
import { Inventory } from '../inventory.ts'
import { removeLeftovers } from '../leftovers.ts'
import { makeReadable } from '../make-readable.ts'
import type { DriverCheck, Sandbox, SandboxDriver, SandboxSpec } from '../sandbox.ts'
import { type ProcessTree, StdioUpstream, type TreeEnd } from '../stdio-upstream.ts'
import { makeUidSource } from '../uids.ts'
import { type AcceleratorFinding, findAccelerator } from './accelerator.ts'
import { isKvmRootOnly } from './confined.ts'
import { GuestMachine, type MachineParts } from './guest-machine.ts'
import { guestMemoryBytes, processMemoryBytes } from './machine.ts'
import { type Prepare, type Snapshot, Snapshots } from './snapshots.ts'

export interface MicrovmPlace {
  /** The data folder, which holds images, disks and snapshots. */
  data: string
  /** Folders in which programs are looked for. */
  path: string
}

export interface MicrovmOptions {
  /** Where control groups can be made; found by looking where it is left out, null to do without. */
  cgroups?: CgroupBase | null
  /** False boots every guest. */
  snapshots?: boolean
  /** What the operator says of the network, for every sandbox alike. */
  egress?: EgressRules
}

/** Threads of QEMU and the processes of its confinement. */
const qemuPidsMax = 64
/** An emulated guest takes many times as long as a real one, and longer still on a busy machine. */
const bootMsMax = 360_000
const restoreMsMax = 60_000
/** While a server loads that will be copied, the guest lives in the year 2001; see `twin.cjs`. */
const loadingClockNs = 978_307_200_000_000_000n

/** What is mounted read-only. */
interface Disks {
  bundle: BundleDisk
  prepared: BundleDisk | null
}

interface Ready {
  image: GuestImage
  finding: AcceleratorFinding
  version: string
}

/** What a session's machine is made from. */
interface Launch {
  spec: SandboxSpec
  ready: Ready
  disks: Disks
  egress: GuestEgress | null
}

/**
 * Runs each server in a virtual machine of its own: QEMU's microvm, with KVM where a guest boots with it, else emulated. What a release
 * needs to start is done once and kept as a snapshot; each session's machine is restored from it.
 */
export class MicrovmDriver implements SandboxDriver {
  readonly name = 'microvm'
  readonly #world: World
  readonly #place: MicrovmPlace
  readonly #cgroups: CgroupBase | null
  readonly #snapshots: Snapshots | null
  readonly #nextUid: (() => number) | null
  readonly #egress: EgressRules
  readonly #running = new Set<Sandbox>()
  readonly #made = new Map<string, Promise<BundleDisk>>()
  #ready: Promise<Ready> | null = null
  readonly #inventory: Inventory

  constructor(world: World, place: MicrovmPlace, options: MicrovmOptions = {}) {
    this.#world = world
    this.#place = place
    this.#cgroups = options.cgroups === undefined ? findCgroups() : options.cgroups
    removeLeftovers(this.#cgroups, world)
    this.#inventory = new Inventory(this.#cgroups, place.data)
    this.#snapshots = options.snapshots === false ? null : new Snapshots(place, world)
    this.#nextUid = process.getuid?.() === 0 ? makeUidSource() : null
    this.#egress = options.egress ?? {}
  }

  get orphans(): number {
    return this.#inventory.orphans
  }

  leaks(): Promise<Leaks> {
    return this.#inventory.leaks()
  }

  /** Builds the image where there is none: minutes at the first start on a machine, and said so. */
  async prepare(): Promise<void> {
    // Without QEMU an image is no use; `check` says what is missing.
    if (findImage(this.#place.data) || !(await versionOf('qemu-system-x86_64'))) return
    this.#world.log.info('sandbox.image_building', {
      message: 'building the guest image from Debian packages; this is done once',
    })
    const { digest } = await buildImage(this.#place, this.#world)
    this.#world.log.info('sandbox.image_built', { digest })
  }

  async check(): Promise<DriverCheck> {
    const missing = await this.#missing()
    if (missing.length > 0) return { usable: false, detail: missing.join('; '), weaknesses: [] }
    const { image, finding, version } = await this.#getReady()
    const { accelerator, why } = finding
    const weaknesses = accelerator === 'tcg' ? [`guests are emulated (TCG) and slow: ${why}`] : []
    if (!this.#cgroups) weaknesses.push('no writable cgroup: the QEMU processes are not bounded in CPU')
    const kernel = image.parts.kernel
    return {
      usable: true,
      detail: `QEMU ${version}, accelerator ${accelerator.toUpperCase()}, guest kernel ${kernel}`,
      weaknesses,
    }
  }

  async start(spec: SandboxSpec): Promise<Sandbox> {
    if ([...Object.entries(spec.env).flat(), ...spec.args].some(text => text.includes('\0'))) {
      throw new ConductorError('sandbox_start_failed', `an environment value of ${spec.id} holds a NUL character`, {
        sandbox: spec.id,
      })
    }
    this.#inventory.add(spec.id)
    let egress: GuestEgress | null = null
    try {
      const ready = await this.#getReady()
      await requireGuestPython(this.name, spec, ready.image)
      const disks = await this.#disksOf(spec)
      egress = await GuestEgress.open(spec, this.#egress, this.#world)
      const tree = await this.#startTree({ spec, ready, disks, egress })
      const sandbox = new StdioUpstream(this.name, spec, tree, this.#world)
      tree.egress?.reportTo(sandbox)
      this.#running.add(sandbox)
      void sandbox.exited.then(() => {
        this.#running.delete(sandbox)
        this.#inventory.remove(spec.id)
      })
      return sandbox
    } catch (cause) {
      await egress?.close()
      this.#inventory.remove(spec.id)
      if (cause instanceof ConductorError) throw cause
      throw new ConductorError(
        'sandbox_start_failed',
        `sandbox ${spec.id} did not start: ${(cause as Error).message}`,
        { sandbox: spec.id },
        cause,
      )
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#running].map(sandbox => sandbox.close()))
    await this.#inventory.close()
  }

  async #missing(): Promise<string[]> {
    if (process.platform !== 'linux' || process.arch !== 'x64') return ['microVMs need Linux on x86-64']
    const missing: string[] = []
    if (!(await versionOf('qemu-system-x86_64'))) {
      missing.push(
        'qemu-system-x86_64 was not found: install it (Debian and Ubuntu: apt-get install --no-install-recommends qemu-system-x86)',
      )
    }
    if (!(await versionOf('bwrap'))) missing.push('bwrap was not found, in which QEMU is confined: apt-get install bubblewrap')
    const noMke2fs = await checkMke2fs(this.#place.path)
    if (noMke2fs) missing.push(noMke2fs)
    if (!findImage(this.#place.data)) missing.push('there is no guest image: run maestro image build')
    return missing
  }

  #getReady(): Promise<Ready> {
    this.#ready ??= this.#makeReady().catch(cause => {
      this.#ready = null
      throw cause
    })
    return this.#ready
  }

  async #makeReady(): Promise<Ready> {
    const missing = await this.#missing()
    const image = findImage(this.#place.data)
    if (missing.length > 0 || !image) throw new ConductorError('sandbox_unavailable', `microvm: ${missing.join('; ')}`)
    const version = (await versionOf('qemu-system-x86_64')) ?? ''
    const finding = await findAccelerator(this.#place, image, version, this.#nextUid?.() ?? null, this.#world)
    return { image, finding, version }
  }

  async #disksOf(spec: SandboxSpec): Promise<Disks> {
    const preparedFolder = preparedFolderOf(spec)
    const bundle = this.#diskOf(spec.bundle, () => makeReadable(spec.bundle, spec.program.entry))
    return { bundle: await bundle, prepared: preparedFolder ? await this.#diskOf(preparedFolder) : null }
  }

  #diskOf(folder: string, open: () => Promise<void> = async () => {}): Promise<BundleDisk> {
    let disk = this.#made.get(folder)
    if (!disk) {
      disk = open().then(() => makeBundleDisk(folder, this.#place, this.#world))
      disk.catch(() => this.#made.delete(folder))
      this.#made.set(folder, disk)
    }
    return disk
  }

  async #startTree(launch: Launch): Promise<GuestTree> {
    const snapshot = (await this.#loaded(launch)) ?? (await this.#booted(launch))
    if (snapshot) {
      try {
        return await this.#run(launch, snapshot)
      } catch (cause) {
        this.#world.log.warn('sandbox.restore_failed', { sandbox: launch.spec.id, cause: (cause as Error).message })
        await this.#snapshots?.remove(snapshot)
        // The other way out ended with its machine.
        return this.#run({ ...launch, egress: await GuestEgress.open(launch.spec, this.#egress, this.#world) }, null)
      }
    }
    return this.#run(launch, null)
  }

  /** A machine that has booted and waits to be told what to run. */
  async #booted(launch: Launch): Promise<Snapshot | null> {
    const of = [...kindOf(launch), guestMemoryBytes(launch.spec.limits.memoryBytesMax), 'booted']
    return this.#take(of, launch, async () => null)
  }

  /**
   * A machine in which the server has loaded and waits for its input. A server that used chance, the clock or the network while it loaded
   * is not copied.
   */
  async #loaded(launch: Launch): Promise<Snapshot | null> {
    const { spec, egress } = launch
    if (!startsAlike(spec, egress)) return null
    const { memoryBytesMax, pidsMax, diskBytesMax } = spec.limits
    const of = [
      ...kindOf(launch),
      ...[memoryBytesMax, pidsMax, diskBytesMax],
      ...[spec.program, spec.args, spec.prepared?.kind, spec.held, egress !== null],
      'loaded',
    ]
    return this.#take(of, launch, async machine => {
      machine.channel.setClock(loadingClockNs)
      machine.channel.addEntropy(this.#world.randomBytes(256))
      machine.channel.start(startOf(spec, egress, true))
      const facts = await machine.channel.held().catch(() => null)
      if (!facts) return 'it ended while it loaded'
      if (facts.get('program') !== 'rests') return 'it does not come to rest'
      return facts.get('used') ? `it used ${facts.get('used')} while it loaded` : null
    })
  }

  async #take(
    of: readonly unknown[],
    launch: Launch,
    settle: (machine: GuestMachine) => Promise<string | null>,
  ): Promise<Snapshot | null> {
    const { spec } = launch
    const memoryBytes = guestMemoryBytes(spec.limits.memoryBytesMax)
    const prepare: Prepare = async (ram, write) => {
      const name = `${spec.id}-snapshot`
      const machine = new GuestMachine(
        // What is copied reaches nothing: whatever came of it would be in every copy.
        { ...this.#parts({ ...launch, egress: null }, name), ram: { file: ram, shared: true }, write },
        this.#world,
      )
      try {
        return await this.#within(bootMsMax, machine, async () => {
          await machine.channel.attach('held')
          return { machine, unfit: await settle(machine) }
        })
      } catch (cause) {
        await machine.end()
        throw cause
      }
    }
    return (await this.#snapshots?.take(of, memoryBytes, prepare)) ?? null
  }

  async #run(launch: Launch, snapshot: Snapshot | null): Promise<GuestTree> {
    const { spec, egress } = launch
    const state = snapshot ? openSync(snapshot.state, 'r') : null
    const parts = this.#parts(launch, spec.id)
    const machine = new GuestMachine(
      snapshot && state !== null ? { ...parts, state, ram: { file: snapshot.ram, shared: false } } : parts,
      this.#world,
    )
    if (state !== null) closeSync(state)
    const tree = new GuestTree(machine, launch, this.#world)
    try {
      await this.#within(snapshot ? restoreMsMax : bootMsMax, machine, async () => {
        if (snapshot) await machine.restore()
        const doing = await machine.channel.attach()
        machine.makeOwn()
        if (doing === 'held') machine.channel.resume()
        else machine.channel.start(startOf(spec, egress, false))
      })
      return tree
    } catch (cause) {
      tree.kill()
      await tree.gone
      throw cause
    }
  }

  #parts({ spec, ready, disks, egress }: Launch, name: string): MachineParts {
    const { image, finding } = ready
    return {
      name,
      image,
      bundle: disks.bundle.file,
      prepared: disks.prepared?.file ?? null,
      accelerator: finding.accelerator,
      memoryBytes: guestMemoryBytes(spec.limits.memoryBytesMax),
      cgroup: this.#makeCgroup(name, spec, ready),
      uid: finding.accelerator === 'kvm' && isKvmRootOnly() ? null : (this.#nextUid?.() ?? null),
      news: this.#inventory,
      ...(egress ? { dial: () => egress.dial() } : {}),
    }
  }

  #makeCgroup(name: string, spec: SandboxSpec, { finding }: Ready): Cgroup | null {
    if (!this.#cgroups) return null
    const memoryBytesMax = processMemoryBytes(guestMemoryBytes(spec.limits.memoryBytesMax), finding.accelerator)
    return makeCgroup(this.#cgroups, name, { ...spec.limits, memoryBytesMax, pidsMax: qemuPidsMax })
  }

  /** Ends a machine that is not done in time; what waits for it fails then. */
  async #within<T>(ms: number, machine: GuestMachine, work: () => Promise<T>): Promise<T> {
    let late = false
    const cancel = this.#world.after(ms, () => {
      late = true
      machine.qemu.kill()
    })
    try {
      return await work()
    } catch (cause) {
      await machine.end()
      const said = machine.qemu.said.split('\n').slice(-3).join(' ')
      const why = late ? `not within ${ms / 1000} s` : (cause as Error).message
      throw new Error(said ? `${why} (${said})` : why, { cause })
    } finally {
      cancel()
    }
  }
}

/** What every snapshot depends on. */
const kindOf = ({ ready: { image, finding, version }, disks }: Launch): readonly string[] => [
  image.digest,
  disks.bundle.digest,
  disks.prepared?.digest ?? '',
  finding.accelerator,
  version,
]

/** The machine of one session. */
class GuestTree implements ProcessTree {
  readonly stdin: ProcessTree['stdin']
  readonly stdout: ProcessTree['stdout']
  readonly stderr: ProcessTree['stderr']
  readonly gone: Promise<TreeEnd>
  /** Ends with it. */
  readonly egress: GuestEgress | null
  readonly #machine: GuestMachine
  #killed = false

  constructor(machine: GuestMachine, { spec, egress }: Launch, world: World) {
    this.#machine = machine
    this.egress = egress
    this.stdin = machine.channel.stdin
    this.stdout = machine.channel.stdout
    this.stderr = machine.channel.stderr
    this.gone = machine.channel.ended.then(async ({ code, signal, limitReached, fault }) => {
      if (fault && !this.#killed)
        world.log.warn('sandbox.guest_ended', { sandbox: spec.id, fault, said: machine.qemu.said.slice(-500) })
      const outside = await machine.end()
      await egress?.close()
      return { code, signal, limitReached: limitReached || outside.limitReached }
    })
  }

  interrupt(): void {
    this.#machine.channel.signal('SIGTERM')
  }

  memoryBytes(): number | null {
    return this.#machine.qemu.memoryBytes()
  }

  freeze(): boolean {
    return !this.#killed && this.#machine.freeze()
  }

  thaw(): void {
    this.#machine.thaw()
  }

  kill(): void {
    this.#killed = true
    this.#machine.qemu.kill()
  }
}

/** The version a program says it has, or null where it is not there. */
async function versionOf(program: string): Promise<string | null> {
  try {
    const { stdout } = await promisify(execFile)(program, ['--version'])
    return /\d+(\.\d+)+/.exec(stdout)?.[0] ?? ''
  } catch {
    return null
  }
}
