import { randomUUID } from 'node:crypto'
import { constants, mkdir, open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { World } from '../../world.ts'
import { GuestChannel, type GuestStart } from '../guest/channel.ts'
import type { GuestImage } from '../guest/image/guest-image.ts'
import type { SandboxSpec } from '../sandbox.ts'
import type { SnapshotLoad } from './api.ts'
import { bootArguments, guestCid } from './guest-facts.ts'
import { vsockSocket } from './jailer.ts'
import { entropyLimiter, machineOf, readLimiter } from './limits.ts'
import type { MicroVm } from './micro-vm.ts'
import { connectAgent } from './vsock.ts'

/** Names of the files in a jail. A snapshot remembers the drives by theirs, so both kinds of start use the same. */
const inJail = {
  kernel: 'kernel',
  initramfs: 'initramfs',
  root: 'root.ext4',
  bundle: 'bundle.ext4',
  prepared: 'prepared.ext4',
  state: 'state',
  memory: 'memory',
} as const

/** A machine at rest, stored: what a jail must hold for copies of it, and the call that makes one. */
export interface Template {
  files: Readonly<Record<string, string>>
  load: SnapshotLoad
}

/** What a template is made of. */
export interface Making {
  spec: SandboxSpec
  image: GuestImage
  /** The bundle’s disk. */
  bundle: string
  /** The disk of what was prepared for a faster start, or null. */
  prepared: string | null
  /** The program, where it shall be loaded before it is stored; null where the agent shall wait to be told. */
  loaded: GuestStart | null
}

/** So many are kept; each holds a file as large as the guest’s memory. */
const templatesMax = 8
/** While a server loads that will be copied, the guest lives in the year 2001; see `guest/twin.cjs`. */
const loadingClockNs = 978_307_200_000_000_000n
const entropyBytes = 64
const bootMsMax = 30_000
const loadMsMax = 120_000

export type Launch = (spec: SandboxSpec, files: Readonly<Record<string, string>>) => Promise<MicroVm>

/**
 * Snapshots by release and limits: the first session boots a machine and stores it, every one is restored from a copy. What is stored has
 * seen neither environment nor secret nor client of any session.
 */
export class Templates {
  readonly #folder: string
  readonly #launch: Launch
  readonly #world: World
  /** In order of use, the latest last. Null where there can be none of that kind. */
  readonly #byKey = new Map<string, { folder: string; template: Promise<Template | null> }>()

  constructor(folder: string, launch: Launch, world: World) {
    this.#folder = folder
    this.#launch = launch
    this.#world = world
  }

  /** The template, made first where it is missing; null where the server cannot be copied once it is loaded. */
  take(making: Making): Promise<Template | null> {
    const { spec, bundle, prepared, loaded } = making
    const { memoryBytesMax, diskBytesMax, pidsMax, cpusMax } = spec.limits
    const key = JSON.stringify([bundle, prepared, memoryBytesMax, diskBytesMax, pidsMax, cpusMax, loaded?.command, loaded?.env])
    const entry = this.#byKey.get(key) ?? this.#begin(key, making)
    this.#byKey.delete(key)
    this.#byKey.set(key, entry)
    this.#forgetOldest()
    return entry.template
  }

  /** Boots a machine and lets it go: whether this host runs guests at all. Throws where it does not. */
  async probe(making: Making): Promise<void> {
    const vm = await this.#launch(making.spec, this.#bootFiles(making))
    try {
      const { channel } = await this.#boot(vm, making)
      channel.destroy()
    } catch (cause) {
      throw await vm.abandon(cause)
    }
    vm.kill()
    await vm.gone
  }

  #begin(key: string, making: Making) {
    const folder = join(this.#folder, randomUUID())
    const template = this.#make(making, folder).catch(async cause => {
      this.#byKey.delete(key)
      await rm(folder, { recursive: true, force: true })
      throw cause
    })
    return { folder, template }
  }

  /** Files under a second name in a jail live on until that is removed. */
  #forgetOldest(): void {
    for (const [key, { folder, template }] of this.#byKey) {
      if (this.#byKey.size <= templatesMax) return
      this.#byKey.delete(key)
      void template.then(() => rm(folder, { recursive: true, force: true })).catch(() => {})
    }
  }

  #bootFiles(making: Making): Record<string, string> {
    const { image } = making
    return {
      ...diskFiles(making),
      ...{ [inJail.kernel]: image.kernel, [inJail.initramfs]: image.initramfs },
    }
  }

  async #make(making: Making, folder: string): Promise<Template | null> {
    const vm = await this.#launch(making.spec, this.#bootFiles(making))
    try {
      const { channel } = await this.#boot(vm, making)
      const unfit = making.loaded ? await this.#load(channel, making.loaded) : null
      // A snapshot keeps no connection: the agent waits for the next one before it is stored.
      channel.destroy()
      if (unfit !== null) {
        this.#world.log.info('sandbox.not_copied', { bundle: making.spec.bundle, why: unfit })
        vm.kill()
        await vm.gone
        return null
      }
      await vm.api.pause()
      await vm.api.createSnapshot({
        snapshot_type: 'Full',
        snapshot_path: `/${inJail.state}`,
        mem_file_path: `/${inJail.memory}`,
      })
      const stored = await this.#take(vm, folder)
      vm.kill()
      await vm.gone
      return {
        files: { ...diskFiles(making), ...stored },
        load: {
          snapshot_path: `/${inJail.state}`,
          mem_backend: { backend_type: 'File', backend_path: `/${inJail.memory}` },
          resume_vm: true,
        },
      }
    } catch (cause) {
      throw await vm.abandon(cause)
    }
  }

  /** Takes the files of a snapshot out of the jail: the machine that wrote them is not trusted with what others are made from. */
  async #take(vm: MicroVm, folder: string): Promise<Record<string, string>> {
    await mkdir(folder, { recursive: true })
    const stored: Record<string, string> = {}
    for (const name of [inJail.state, inJail.memory]) {
      stored[name] = join(folder, name)
      await rename(vm.jail.path(name), stored[name])
      await makeOurs(stored[name])
    }
    return stored
  }

  /** From nothing to an agent that waits. */
  async #boot(vm: MicroVm, { spec, prepared }: Making): Promise<{ channel: GuestChannel }> {
    const { api } = vm
    await api.setMachine(machineOf(spec.limits))
    await api.setBootSource({
      kernel_image_path: `/${inJail.kernel}`,
      initrd_path: `/${inJail.initramfs}`,
      boot_args: prepared ? `${bootArguments} maestro.prepared` : bootArguments,
    })
    const drive = {
      is_root_device: false,
      is_read_only: true,
      cache_type: 'Unsafe',
      io_engine: 'Sync',
      rate_limiter: readLimiter,
    } as const
    // In this order: the guest knows them as its first, second and third disk.
    await api.setDrive({ drive_id: 'root', path_on_host: `/${inJail.root}`, ...drive })
    await api.setDrive({ drive_id: 'bundle', path_on_host: `/${inJail.bundle}`, ...drive })
    if (prepared) await api.setDrive({ drive_id: 'prepared', path_on_host: `/${inJail.prepared}`, ...drive })
    await api.setVsock({ guest_cid: guestCid, uds_path: `/${vsockSocket}` })
    await api.setEntropy(entropyLimiter)
    await api.start()
    const channel = new GuestChannel(await connectAgent(vm, bootMsMax, this.#world))
    const state = await this.#within(bootMsMax, channel, channel.attach('held'))
    if (state !== 'booted') throw new Error(`a guest that is ${state} after its boot`)
    return { channel }
  }

  /** Lets the program load and come to rest. Says why it must not be copied, or null where it may. */
  async #load(channel: GuestChannel, start: GuestStart): Promise<string | null> {
    channel.setClock(loadingClockNs)
    channel.addEntropy(this.#world.randomBytes(entropyBytes))
    channel.start(start)
    let facts: ReadonlyMap<string, string>
    try {
      facts = await this.#within(loadMsMax, channel, channel.held())
    } catch (cause) {
      return (cause as Error).message
    }
    if (facts.get('program') !== 'rests') return 'it does not come to rest'
    return facts.get('used') ? `it used ${facts.get('used')} while it loaded` : null
  }

  /** A guest that never answers loses its connection, and with it what waits for the answer. */
  async #within<T>(ms: number, channel: GuestChannel, answer: Promise<T>): Promise<T> {
    const cancel = this.#world.after(ms, () => channel.destroy())
    try {
      return await answer
    } finally {
      cancel()
    }
  }
}

/** Makes a file that somebody else wrote ours and nobody's to write. It must be one: through a link we would give away what it points to. */
async function makeOurs(path: string): Promise<void> {
  await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  if (!(await file.stat()).isFile()) throw new Error(`${path} is no file`)
  await file.chown(process.getuid!(), process.getgid!())
  await file.chmod(0o444)
}

const diskFiles = ({ image, bundle, prepared }: Making): Record<string, string> => ({
  ...{ [inJail.root]: image.root, [inJail.bundle]: bundle },
  ...(prepared ? { [inJail.prepared]: prepared } : {}),
})
