import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { access, open } from 'node:fs/promises'
import { delimiter, isAbsolute, join } from 'node:path'
import { promisify } from 'node:util'
import { checkMke2fs } from '../guest/image/ext4.ts'
import { findImage, type GuestImage } from '../guest/image/guest-image.ts'
import { makeUidSource } from '../uids.ts'
import type { Programs } from './jailer.ts'

export interface Place {
  /** The data folder, which holds images and disks. */
  data: string
  /** Folders in which programs are looked for. */
  path: string
}

export type Finding =
  | { usable: true; programs: Programs; version: string; image: GuestImage; detail: string }
  /** Each with what mends it. `buildable` where nothing but the image is missing, which can be made. */
  | { usable: false; missing: string[]; buildable?: boolean }

/**
 * From this version on a restored guest’s vsock works (1.16.0 leaves it silent), and every field we send is known. The next major one
 * may take fields away.
 */
const versionMin = [1, 16, 1] as const
const noImage = 'there is no guest image (mend: maestro image build)'
const askMsMax = 5000
const answerBytesMax = 64 * 1024
const install = `put firecracker and jailer of one release ≥ ${versionMin.join('.')} and < 2 from github.com/firecracker-microvm/firecracker/releases into /usr/local/bin`

/** What this machine has of all that is needed, and what is missing. */
export async function checkMachine(place: Place): Promise<Finding> {
  if (process.platform !== 'linux') return { usable: false, missing: [`needs Linux, this is ${process.platform}`] }
  if (process.arch !== 'x64') return { usable: false, missing: [`the guest’s agent is for x64, this is ${process.arch}`] }
  const [root, kvm, firecracker, jailer, unshare, mke2fs, image] = await Promise.all([
    checkRoot(),
    checkKvm(),
    checkProgram('firecracker', /^Firecracker v(\d+)\.(\d+)\.(\d+)/m, place.path),
    checkProgram('jailer', /^Jailer v(\d+)\.(\d+)\.(\d+)/m, place.path),
    checkUnshare(place.path),
    checkMke2fs(place.path),
    findImage(place.data),
  ])
  const missing = [root, kvm, firecracker, jailer, unshare, mke2fs].filter(item => typeof item === 'string')
  if (!image) missing.push(noImage)
  if (typeof firecracker === 'string' || typeof jailer === 'string' || !image || missing.length > 0) {
    return { usable: false, missing, buildable: missing.length === 1 && !image }
  }
  if (firecracker.version !== jailer.version) {
    const pair = `firecracker is ${firecracker.version}, jailer ${jailer.version}; they must be of one release`
    return { usable: false, missing: [`${pair} (mend: ${install})`] }
  }
  return {
    usable: true,
    programs: { firecracker: firecracker.path, jailer: jailer.path },
    version: firecracker.version,
    image,
    detail: `Firecracker ${firecracker.version}, KVM, jailed, restored from snapshots`,
  }
}

/** What is missing and how to mend it, or null. */
type Missing = string | null

function checkRoot(): Missing {
  if (process.getuid?.() !== 0) return 'the jailer needs root (mend: run Conductor as root)'
  if (!makeUidSource()) return 'root of a range without uid 65534 (mend: run Conductor outside of this user namespace)'
  return null
}

async function checkKvm(): Promise<Missing> {
  try {
    await (await open('/dev/kvm', constants.O_RDWR)).close()
    return null
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT') {
      return 'there is no /dev/kvm (mend: turn on virtualization in the firmware and `modprobe kvm_intel` or `kvm_amd`; in a virtual machine, nested virtualization on its host)'
    }
    return `/dev/kvm cannot be opened: ${message} (mend: run Conductor as root; in a container give it the device)`
  }
}

async function checkProgram(name: string, pattern: RegExp, path: string): Promise<string | { path: string; version: string }> {
  const file = await whereIs(name, path)
  if (!file) return `${name} was not found (mend: ${install})`
  try {
    const { stdout } = await promisify(execFile)(file, ['--version'], { timeout: askMsMax, maxBuffer: answerBytesMax })
    const version = pattern.exec(stdout)?.slice(1, 4).map(Number)
    if (!version) return `${file} does not say its version (mend: ${install})`
    if (!isSupported(version)) return `${file} is ${version.join('.')} (mend: ${install})`
    return { path: file, version: version.join('.') }
  } catch (cause) {
    return `${file} does not run: ${(cause as Error).message.split('\n')[0]} (mend: ${install})`
  }
}

export function isSupported(version: readonly number[]): boolean {
  const [major, minor = 0, patch = 0] = version
  if (major !== versionMin[0]) return false
  return minor > versionMin[1] || (minor === versionMin[1] && patch >= versionMin[2])
}

async function checkUnshare(path: string): Promise<Missing> {
  return (await whereIs('unshare', path)) ? null : 'unshare was not found (mend: apt-get install util-linux)'
}

async function whereIs(name: string, path: string): Promise<string | null> {
  for (const folder of path.split(delimiter)) {
    const file = join(folder, name)
    if (!isAbsolute(file)) continue
    try {
      await access(file, constants.X_OK)
      return file
    } catch {
      // Not in this one.
    }
  }
  return null
}
