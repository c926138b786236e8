import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { World } from '../../world.ts'
import { type GuestImage, imagesFolder } from '../guest/image/guest-image.ts'
import { isKvmRootOnly } from './confined.ts'
import { GuestMachine } from './guest-machine.ts'
import { type Accelerator, guestMemoryBytes } from './machine.ts'

/** With KVM a guest is up in a second or two; one that takes longer hangs. */
const probeMsMax = 15_000
const device = '/dev/kvm'

export interface AcceleratorFinding {
  accelerator: Accelerator
  /** Why it is not KVM; empty where it is. */
  why: string
}

/**
 * KVM where a guest really boots with it. That the device is there says little: inside of virtual machines it often opens and hangs every
 * guest. What was found is remembered until the machine boots again.
 */
export async function findAccelerator(
  place: { data: string },
  image: GuestImage,
  qemuVersion: string,
  uid: number | null,
  world: World,
): Promise<AcceleratorFinding> {
  if (!existsSync(device)) return { accelerator: 'tcg', why: `no ${device}` }
  const file = join(imagesFolder(place.data), 'accelerator.json')
  const key = `${bootOf()} ${image.digest} ${qemuVersion} ${uid === null ? process.getuid?.() : 'own uid'}`
  try {
    const remembered = JSON.parse(readFileSync(file, 'utf8')) as { key?: string; accelerator?: string; why?: string }
    if (remembered.key === key && (remembered.accelerator === 'kvm' || remembered.accelerator === 'tcg')) {
      return { accelerator: remembered.accelerator, why: String(remembered.why) }
    }
  } catch {
    // Never asked on this machine.
  }
  const why = await probe(image, uid, world)
  const finding: AcceleratorFinding = { accelerator: why === null ? 'kvm' : 'tcg', why: why ?? '' }
  writeFileSync(file, JSON.stringify({ key, ...finding }))
  return finding
}

/** Boots a guest with KVM. Gives null where it came up, else why it did not. */
async function probe(image: GuestImage, uid: number | null, world: World): Promise<string | null> {
  const parts = {
    name: 'maestro-kvm-probe',
    image,
    // Any file system does.
    bundle: image.root,
    prepared: null,
    accelerator: 'kvm',
    memoryBytes: guestMemoryBytes(0),
    cgroup: null,
    uid: isKvmRootOnly() ? null : uid,
    news: { stayed: () => {}, freezing: () => {}, weigh: () => null },
  } as const
  const machine = new GuestMachine(parts, world)
  let late = false
  const cancel = world.after(probeMsMax, () => {
    late = true
    machine.qemu.kill()
  })
  try {
    await machine.channel.attach()
    return null
  } catch {
    if (late) return `a guest does not come up with ${device} within ${probeMsMax / 1000} s`
    await machine.qemu.gone
    return `QEMU cannot use ${device}: ${machine.qemu.said.split('\n').at(-1) || 'no reason given'}`
  } finally {
    cancel()
    await machine.end()
  }
}

function bootOf(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
  } catch {
    return ''
  }
}
