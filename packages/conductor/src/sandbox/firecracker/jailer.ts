import { chmod, constants, copyFile, type FileHandle, link, mkdir, open, realpath, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'

/** The programs of a Firecracker release; both must be of the same version. */
export interface Programs {
  firecracker: string
  jailer: string
}

export interface JailIdentity {
  /** Letters, digits and hyphens, at most 64. */
  id: string
  /** Its own in every jail, so that two of them share nothing. */
  uid: number
  gid: number
}

export interface JailBounds {
  /** The longest file that may be written: a snapshot of the guest’s memory is one. */
  fileBytesMax: number
  openFilesMax: number
}

/** Where the API is served, as Firecracker sees it. */
const apiSocket = 'api.sock'
export const vsockSocket = 'v.sock'

/**
 * The command line of one jail: the jailer makes the devices, changes root, takes on the identity, enters a process namespace of its own
 * and becomes Firecracker. Source: its docs/jailer.md; spec/firecracker/jailer.json has the options as data. The network namespace is
 * made around it, empty: `--netns` wants one that was made and mounted before. Limits by control group are set outside, see `shim.ts`.
 */
export function jailerCommand(
  { firecracker, jailer }: Programs,
  base: string,
  { id, uid, gid }: JailIdentity,
  bounds: JailBounds,
): string[] {
  return [
    ...['unshare', '--net', '--ipc', '--uts', '--', jailer],
    ...['--id', id, '--exec-file', firecracker, '--uid', `${uid}`, '--gid', `${gid}`],
    ...['--chroot-base-dir', base, '--new-pid-ns'],
    ...['--resource-limit', `fsize=${bounds.fileBytesMax}`, '--resource-limit', `no-file=${bounds.openFilesMax}`],
    ...['--', '--api-sock', `/${apiSocket}`],
  ]
}

/** The folder that becomes the root of one Firecracker. Made before the jailer runs, removed after all of it has gone. */
export class Jail {
  readonly identity: JailIdentity
  readonly #folder: string
  readonly #root: FileHandle

  private constructor(identity: JailIdentity, folder: string, root: FileHandle) {
    this.identity = identity
    this.#folder = folder
    this.#root = root
  }

  /**
   * Makes the folder and puts files into it, each readable by all and writable by none, under the names they have inside. The jailer
   * takes the folder as it is and leaves what lies in it.
   */
  static async make(
    base: string,
    firecracker: string,
    identity: JailIdentity,
    files: Readonly<Record<string, string>>,
  ): Promise<Jail> {
    // The jailer follows links to the program and names the folder after what it finds.
    const folder = join(base, basename(await realpath(firecracker)), identity.id)
    try {
      await mkdir(join(folder, 'root'), { recursive: true, mode: 0o700 })
      for (const [name, path] of Object.entries(files)) await place(path, join(folder, 'root', name))
      return new Jail(identity, folder, await open(join(folder, 'root')))
    } catch (cause) {
      await rm(folder, { recursive: true, force: true })
      throw cause
    }
  }

  /** A file of the jail as we reach it from outside. */
  path(name: string): string {
    return join(this.#folder, 'root', name)
  }

  get apiSocket(): string {
    return this.#address(apiSocket)
  }

  get vsockSocket(): string {
    return this.#address(vsockSocket)
  }

  async remove(): Promise<void> {
    await this.#root.close()
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 3 })
  }

  /** The address of a Unix socket has 107 bytes and the path of a jail may have more: the folder goes by its descriptor. */
  #address(name: string): string {
    return `/proc/self/fd/${this.#root.fd}/${name}`
  }
}

/** Puts a file where others can read it and nobody write it: under a second name, which costs nothing, or as a copy. */
async function place(from: string, to: string): Promise<void> {
  try {
    await link(from, to)
    await chmod(to, 0o444)
  } catch (cause) {
    if (!['EXDEV', 'EPERM', 'EMLINK'].includes((cause as NodeJS.ErrnoException).code ?? '')) throw cause
    await copyFile(from, to, constants.COPYFILE_FICLONE)
    await chmod(to, 0o444)
  }
}
