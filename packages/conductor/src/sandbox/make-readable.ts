import { chmod, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'

const readableByAll = 0o004
const enterableByAll = 0o005
const executableByOwner = 0o100

/**
 * Lets everybody read a bundle. Servers run as a uid that owns nothing, and an install under a strict umask leaves
 * files only root can read; the folder above keeps other people of the machine out. Does nothing where the bundle is readable already.
 */
export async function makeReadable(bundle: string, entry: string): Promise<void> {
  const folder = await stat(bundle)
  const program = await stat(join(bundle, entry))
  if ((folder.mode & enterableByAll) === enterableByAll && (program.mode & readableByAll) !== 0) return
  await open(bundle, folder.mode)
}

async function open(folder: string, mode: number): Promise<void> {
  await chmod(folder, mode | 0o555)
  for (const item of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, item.name)
    // Not through links: they may lead out of the bundle.
    if (item.isSymbolicLink()) continue
    const { mode: old } = await stat(path)
    if (item.isDirectory()) await open(path, old)
    else if (item.isFile()) await chmod(path, old | 0o444 | (old & executableByOwner ? 0o111 : 0))
  }
}
