import type { Duplex } from 'node:stream'
import type { World } from '../../world.ts'
import type { Cgroup } from '../cgroup/cgroup.ts'
import { GuestChannel } from '../guest/channel.ts'
import type { GuestImage } from '../guest/image/guest-image.ts'
import type { TreeNews } from '../namespaced-tree.ts'
import type { TreeEnd } from '../stdio-upstream.ts'
import { ConfinedQemu } from './confined.ts'
import { type Accelerator, descriptor, machineArguments } from './machine.ts'
import { Qmp } from './qmp.ts'

/** What a machine is made of. */
export interface MachineParts {
  /** Shows in the process list. */
  name: string
  image: GuestImage
  /** The bundle's disk. */
  bundle: string
  /** The disk of what was made ahead for a faster start, where there is any. */
  prepared: string | null
  accelerator: Accelerator
  /** Memory of the guest, bytes. */
  memoryBytes: number
  cgroup: Cgroup | null
  uid: number | null
  /** What backs its memory; where `shared`, what the guest writes stays there. */
  ram?: { file: string; shared: boolean }
  /** An open file with the state it is restored from; nothing boots then. */
  state?: number
  /** Further files it may write, by the path inside. */
  write?: ReadonlyMap<string, string>
  news: TreeNews
  /** Makes the outer end of a connection out of the sandbox; left out, it has no network. */
  dial?: () => Duplex
}

/** One QEMU with the agent in its guest. It may still be booting: the channel's attach tells when it is not. */
export class GuestMachine {
  readonly qemu: ConfinedQemu
  readonly qmp: Qmp
  readonly channel: GuestChannel
  readonly #world: World
  #commanding: Promise<void> | null = null
  #frozen = false

  constructor(parts: MachineParts, world: World) {
    this.#world = world
    const { image, ram } = parts
    const inside = { kernel: '/vm/kernel', initramfs: '/vm/initramfs', root: '/vm/root', bundle: '/vm/bundle' }
    const prepared = '/vm/prepared'
    const files = {
      ...inside,
      ...(parts.prepared ? { prepared } : {}),
      ...(ram ? { ram: { path: '/vm/ram', shared: ram.shared } } : {}),
    }
    const shape = { accelerator: parts.accelerator, memoryBytes: parts.memoryBytes, incoming: parts.state !== undefined }
    this.qemu = new ConfinedQemu(
      ['qemu-system-x86_64', ...machineArguments(parts.name, files, shape)],
      {
        read: new Map([
          [inside.kernel, image.kernel],
          [inside.initramfs, image.initramfs],
          [inside.root, image.root],
          [inside.bundle, parts.bundle],
          ...(parts.prepared ? [[prepared, parts.prepared] as const] : []),
        ]),
        write: new Map([...(ram ? [['/vm/ram', ram.file] as const] : []), ...(parts.write ?? [])]),
        cgroup: parts.cgroup,
        uid: parts.uid,
        kvm: parts.accelerator === 'kvm',
        state: parts.state ?? 'ignore',
        news: parts.news,
      },
      world,
    )
    this.qmp = new Qmp(this.qemu.qmp, world)
    const onLog = (text: string) => world.log.info('sandbox.guest_said', { name: parts.name, text })
    this.channel = new GuestChannel(this.qemu.agent, { onLog, ...(parts.dial ? { dial: parts.dial } : {}) })
  }

  /** Gives the guest a clock that is right and randomness that nobody else has. */
  makeOwn(): void {
    this.channel.setClock(this.#clockNs())
    this.channel.addEntropy(this.#world.randomBytes(256))
  }

  /** Restores the machine from its state and lets it run. */
  async restore(): Promise<void> {
    await this.#command()
    await this.qmp.execute('migrate-incoming', { uri: `fd:${descriptor.state}` })
    await this.#migrated()
    await this.qmp.execute('cont')
  }

  /** Stops the machine and writes its state, without its memory, to a socket inside. */
  async save(socket: string): Promise<void> {
    await this.#command()
    await this.qmp.execute('stop')
    await this.qmp.execute('migrate', { uri: `unix:${socket}` })
    await this.#migrated()
  }

  /** Ends it and waits until nothing of it is left. */
  end(): Promise<TreeEnd> {
    this.qemu.kill()
    return this.qemu.gone
  }

  /** Stops the machine where it stands; it takes no processor then, and what it is sent waits. */
  freeze(): boolean {
    if (!this.#frozen) {
      this.#frozen = true
      this.channel.holdInput(true)
      this.#tell('stop')
    }
    return true
  }

  /** Lets it go on. Its clock has stood still meanwhile. */
  thaw(): void {
    if (!this.#frozen) return
    this.#frozen = false
    this.#tell('cont')
    this.channel.setClock(this.#clockNs())
    this.channel.holdInput(false)
  }

  /** QEMU does what it is told in order; one that is gone needs no telling. */
  #tell(command: 'stop' | 'cont'): void {
    this.#command()
      .then(() => this.qmp.execute(command))
      .catch(() => {})
  }

  #clockNs(): bigint {
    return BigInt(this.#world.now()) * 1_000_000n
  }

  #command(): Promise<void> {
    this.#commanding ??= this.#takeCommand()
    return this.#commanding
  }

  async #takeCommand(): Promise<void> {
    await this.qmp.execute('qmp_capabilities')
    // Shared memory is not part of the state: it lies in its file already.
    await this.qmp.execute('migrate-set-capabilities', { capabilities: [{ capability: 'x-ignore-shared', state: true }] })
  }

  async #migrated(): Promise<void> {
    for (;;) {
      const { status, ...more } = await this.qmp.execute<{ status?: string; 'error-desc'?: string }>('query-migrate')
      if (status === 'completed') return
      if (status === 'failed' || status === 'cancelled')
        throw new Error(`the state could not be moved: ${more['error-desc'] ?? status}`)
      await this.#world.sleep(3)
    }
  }
}
