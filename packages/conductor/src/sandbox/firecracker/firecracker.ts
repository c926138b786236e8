import { mkdirSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { ConductorError } from '@maestro/contract'
import type { World } from '../../world.ts'
import { type CgroupBase, findCgroups, makeCgroup } from '../cgroup/cgroups.ts'
import { preparedFolderOf } from '../command.ts'
import type { EgressRules } from '../egress/egress-rules.ts'
import { makeBundleDisk } from '../guest/bundle-disk.ts'
import { GuestChannel, type GuestStart } from '../guest/channel.ts'
import { GuestEgress } from '../guest/guest-egress.ts'
import { buildImage } from '../guest/image/build-image.ts'
import { requireGuestPython } from '../guest/image/require-guest-python.ts'
import { startOf, startsAlike } from '../guest/start-of.ts'
import { removeLeftovers } from '../leftovers.ts'
import { makeReadable } from '../make-readable.ts'
import { cleanRunFolders, makeRunFolder } from '../owner.ts'
import { Watchdog } from '../process/watchdog.ts'
import type { DriverCheck, Sandbox, SandboxDriver, SandboxSpec } from '../sandbox.ts'
import { type ProcessTree, StdioUpstream, type TreeEnd } from '../stdio-upstream.ts'
import { makeUidSource } from '../uids.ts'
import { checkMachine, type Finding, type Place } from './check.ts'
import { probeKvm } from './kvm.ts'
import { machineOf, processLimitsOf } from './limits.ts'
import { MicroVm } from './micro-vm.ts'
import { prepareGuest } from './prepare-guest.ts'
import { type Template, Templates } from './templates.ts'
import { connectAgent } from './vsock.ts'

export interface FirecrackerOptions {
  /** Looks at the machine; replaced where a test brings programs and an image of its own. */
  find?: (place: Place) => Promise<Finding>
  /** Where control groups can be made; found by looking where it is left out, null to do without. */
  cgroups?: CgroupBase | null
  /** What the operator says of the network, for every sandbox alike. */
  egress?: EgressRules
}

type Found = Extract<Finding, { usable: true }>

const MiB = 1024 * 1024
const openFilesMax = 1024
const agentMsMax = 10_000
/** A snapshot’s state file and what the format adds to the memory itself. */
const snapshotOwnBytes = 64 * MiB

/**
 * Runs each server in a virtual machine of its own, restored from a snapshot of its release by a jailed Firecracker.
 * https://github.com/firecracker-microvm/firecracker Holds a folder in the data folder until `close`.
 */
export class FirecrackerDriver implements SandboxDriver {
  readonly name = 'firecracker'
  readonly #world: World
  readonly #place: Place
  readonly #find: (place: Place) => Promise<Finding>
  readonly #cgroups: CgroupBase | null
  readonly #nextUid = makeUidSource()
  readonly #egress: EgressRules
  readonly #running = new Set<Sandbox>()
  readonly #machines = new Set<MicroVm>()
  readonly #disks = new Map<string, Promise<string>>()
  #workshop: { folder: string; watchdog: Watchdog; templates: Templates } | null = null
  #found: Promise<Found> | null = null
  #orphans = 0

  constructor(world: World, place: Place, options: FirecrackerOptions = {}) {
    this.#world = world
    this.#place = place
    this.#egress = options.egress ?? {}
    this.#find = options.find ?? checkMachine
    this.#cgroups = options.cgroups === undefined ? findCgroups() : options.cgroups
    removeLeftovers(this.#cgroups, world)
  }

  /** Processes of ours that were found alive after their sandbox had ended. */
  get orphans(): number {
    return this.#orphans
  }

  /** Builds the image of the guests where nothing else is missing: minutes at the first start on a machine, and said so. */
  async prepare(): Promise<void> {
    const finding = await this.#find(this.#place)
    if (finding.usable || !finding.buildable) return
    const message = 'building the guest image from Debian packages; this is done once'
    this.#world.log.info('sandbox.image_building', { message })
    const { digest } = await buildImage(this.#place, this.#world)
    this.#world.log.info('sandbox.image_built', { digest })
  }

  async check(): Promise<DriverCheck> {
    const unusable = (detail: string): DriverCheck => ({ usable: false, detail, weaknesses: [] })
    const finding = await this.#find(this.#place)
    if (!finding.usable) return unusable(finding.missing.join('; '))
    const why = await probeKvm(this.#place, finding, () => this.#probe(finding))
    if (why) return unusable(why)
    const weaknesses: string[] = []
    if (!this.#cgroups) weaknesses.push('no writable cgroup: CPU and memory of Firecracker itself are not bounded')
    return { usable: true, detail: finding.detail, weaknesses }
  }

  async start(spec: SandboxSpec): Promise<Sandbox> {
    if ([...Object.entries(spec.env).flat(), ...spec.args].some(text => text.includes('\0'))) {
      const why = `an environment value of ${spec.id} holds a NUL character`
      throw new ConductorError('sandbox_start_failed', why, { sandbox: spec.id })
    }
    let egress: GuestEgress | null = null
    try {
      const found = await this.#getFound()
      await requireGuestPython(this.name, spec, found.image)
      await makeReadable(spec.bundle, spec.program.entry)
      const bundle = await this.#diskOf(spec.bundle)
      const preparedFolder = preparedFolderOf(spec)
      const prepared = preparedFolder ? await this.#diskOf(preparedFolder) : null
      const { templates } = this.#getWorkshop()
      egress = await GuestEgress.open(spec, this.#egress, this.#world)
      const of = { spec, image: found.image, bundle, prepared }
      const loaded = startsAlike(spec, egress) ? await templates.take({ ...of, loaded: startOf(spec, egress, true) }) : null
      if (loaded) return await this.#restore(spec, egress, loaded, null)
      const booted = await templates.take({ ...of, loaded: null })
      return await this.#restore(spec, egress, booted!, startOf(spec, egress, false))
    } catch (cause) {
      await egress?.close()
      if (cause instanceof ConductorError) throw cause
      const why = `sandbox ${spec.id} did not start: ${(cause as Error).message}`
      throw new ConductorError('sandbox_start_failed', why, { sandbox: spec.id }, cause)
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#running].map(sandbox => sandbox.close()))
    const machines = [...this.#machines]
    for (const vm of machines) vm.kill()
    await Promise.all(machines.map(vm => vm.gone))
    await this.#workshop?.watchdog.close()
    this.#workshop = null
  }

  #getFound(): Promise<Found> {
    this.#found ??= this.#find(this.#place).then(finding => {
      if (finding.usable) return finding
      this.#found = null
      throw new ConductorError('sandbox_unavailable', `firecracker: ${finding.missing.join('; ')}`)
    })
    return this.#found
  }

  /** In the data folder, where image and disks are: a second name of a file costs nothing on the same file system. */
  #getWorkshop() {
    if (this.#workshop) return this.#workshop
    const parent = join(this.#place.data, 'firecracker')
    mkdirSync(parent, { recursive: true, mode: 0o700 })
    cleanRunFolders(parent)
    const folder = makeRunFolder(parent)
    const launch = (spec: SandboxSpec, files: Readonly<Record<string, string>>) => this.#launch(spec, files)
    const templates = new Templates(join(folder, 'templates'), launch, this.#world)
    this.#workshop = { folder, watchdog: new Watchdog(folder), templates }
    return this.#workshop
  }

  #diskOf(folder: string): Promise<string> {
    let disk = this.#disks.get(folder)
    if (!disk) {
      disk = makeBundleDisk(folder, this.#place, this.#world).then(({ file }) => file)
      disk.catch(() => this.#disks.delete(folder))
      this.#disks.set(folder, disk)
    }
    return disk
  }

  /** Boots a machine with nothing in it. */
  async #probe({ image }: Found): Promise<void> {
    const spec: SandboxSpec = {
      ...{ id: 'sbx_000000000000000probe' as SandboxSpec['id'], bundle: '', program: { runtime: 'native', entry: '' } },
      ...{ args: [], env: {}, egress: [] },
      limits: { memoryBytesMax: 64 * MiB, pidsMax: 16, cpusMax: 1, diskBytesMax: MiB, lineBytesMax: MiB },
    }
    this.#found ??= this.#getFound()
    await this.#getWorkshop().templates.probe({ spec, image, bundle: image.root, prepared: null, loaded: null })
  }

  async #restore(spec: SandboxSpec, egress: GuestEgress | null, template: Template, start: GuestStart | null): Promise<Sandbox> {
    const vm = await this.#launch(spec, template.files)
    try {
      await vm.api.loadSnapshot(template.load)
      const link = await connectAgent(vm, agentMsMax, this.#world)
      const onLog = (text: string) => this.#world.log.info('sandbox.guest_said', { sandbox: spec.id, text })
      const channel = new GuestChannel(link, { onLog, ...(egress ? { dial: () => egress.dial() } : {}) })
      await prepareGuest(channel, start, this.#world)
      const sandbox = new StdioUpstream(this.name, spec, new GuestTree(vm, channel, egress, this.#world), this.#world)
      egress?.reportTo(sandbox)
      this.#running.add(sandbox)
      void sandbox.exited.then(() => this.#running.delete(sandbox))
      return sandbox
    } catch (cause) {
      throw await vm.abandon(cause)
    }
  }

  async #launch(spec: SandboxSpec, files: Readonly<Record<string, string>>): Promise<MicroVm> {
    const { programs } = await this.#getFound()
    const { folder, watchdog } = this.#getWorkshop()
    const uid = this.#nextUid?.()
    if (uid === undefined) throw new ConductorError('sandbox_unavailable', 'firecracker: no uid to give a machine')
    // A template and its first session live at the same time, so the id of the sandbox alone will not do.
    const id = `${spec.id.replaceAll('_', '-')}-${uid}`
    await mkdir(join(folder, 'jails'), { recursive: true })
    const vm = await MicroVm.launch({
      ...{ programs, base: join(folder, 'jails'), identity: { id, uid, gid: uid }, files },
      bounds: { fileBytesMax: machineOf(spec.limits).mem_size_mib * MiB + snapshotOwnBytes, openFilesMax },
      cgroup: this.#cgroups && makeCgroup(this.#cgroups, id, processLimitsOf(spec.limits)),
      ...{ world: this.#world, path: this.#place.path, watchdog },
    })
    this.#machines.add(vm)
    void vm.gone.then(({ left }) => {
      this.#machines.delete(vm)
      this.#orphans += left
    })
    return vm
  }
}

/** The program of one guest, as the streams of a process. */
class GuestTree implements ProcessTree {
  readonly stdin: Writable
  readonly stdout: Readable
  readonly stderr: Readable
  readonly gone: Promise<TreeEnd>
  readonly #vm: MicroVm
  readonly #channel: GuestChannel
  readonly #world: World
  #killed = false
  #frozen = false
  /** Firecracker does what it is told in order. */
  #told: Promise<unknown> = Promise.resolve()

  constructor(vm: MicroVm, channel: GuestChannel, egress: GuestEgress | null, world: World) {
    this.#vm = vm
    this.#channel = channel
    this.#world = world
    this.stdin = channel.stdin
    this.stdout = channel.stdout
    this.stderr = channel.stderr
    void vm.gone.then(() => channel.destroy())
    this.gone = channel.ended.then(async end => {
      if (end.fault && !this.#killed) world.log.warn('sandbox.guest_lost', { sandbox: vm.jail.identity.id, fault: end.fault })
      vm.kill()
      const { limitReached } = await vm.gone
      await egress?.close()
      return { code: end.code, signal: end.signal, limitReached: end.limitReached || limitReached }
    })
  }

  memoryBytes(): number | null {
    return this.#vm.memoryBytes()
  }

  /** Stops the machine where it stands; it takes no processor then, and what it is sent waits. */
  freeze(): boolean {
    if (this.#killed) return false
    if (!this.#frozen) {
      this.#frozen = true
      this.#channel.holdInput(true)
      this.#tell(() => this.#vm.api.pause())
    }
    return true
  }

  /** Lets it go on. Its clock may have stood still meanwhile. */
  thaw(): void {
    if (!this.#frozen) return
    this.#frozen = false
    this.#tell(() => this.#vm.api.resume())
    this.#channel.setClock(BigInt(Math.round(this.#world.now())) * 1_000_000n)
    this.#channel.holdInput(false)
  }

  /** One that is gone needs no telling; one that refuses is found by whoever waits for an answer. */
  #tell(order: () => Promise<unknown>): void {
    this.#told = this.#told.then(order).catch(() => {})
  }

  interrupt(): void {
    this.#channel.signal('SIGTERM')
  }

  kill(): void {
    this.#killed = true
    this.#vm.kill()
  }
}
