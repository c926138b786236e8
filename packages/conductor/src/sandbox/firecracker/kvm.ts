import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { imagesFolder } from '../guest/image/guest-image.ts'
import type { Finding, Place } from './check.ts'

/**
 * Whether a guest really boots here: gives null where it does, else why not. That /dev/kvm opens says little: inside of virtual machines
 * it often opens and hangs every guest. What was found is remembered until the machine boots again.
 */
export async function probeKvm(
  place: Place,
  { image, version }: Extract<Finding, { usable: true }>,
  boot: () => Promise<void>,
): Promise<string | null> {
  const file = join(imagesFolder(place.data), 'firecracker-kvm.json')
  const key = `${bootOf()} ${image.digest} ${version}`
  try {
    const remembered = JSON.parse(readFileSync(file, 'utf8')) as { key?: string; why?: string | null }
    if (remembered.key === key && remembered.why !== undefined) return remembered.why
  } catch {
    // Never asked on this machine.
  }
  let why: string | null = null
  try {
    await boot()
  } catch (cause) {
    why = `/dev/kvm opens, but a guest does not come up: ${(cause as Error).message} (mend: run Conductor on hardware, or where nested virtualization works)`
  }
  mkdirSync(imagesFolder(place.data), { recursive: true, mode: 0o700 })
  writeFileSync(file, JSON.stringify({ key, why }))
  return why
}

function bootOf(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
  } catch {
    return ''
  }
}
