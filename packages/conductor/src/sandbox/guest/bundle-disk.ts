import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { lstat, mkdir, readdir, readlink, rename, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import type { World } from '../../world.ts'
import { makeExt4 } from './image/ext4.ts'
import { imagesFolder } from './image/guest-image.ts'

/** Disks kept for releases that ran last; each is about as large as its bundle. */
const disksMax = 64

/** A bundle as a guest attaches it. */
export interface BundleDisk {
  /** Names what is on it. */
  digest: string
  file: string
}

/** Makes the read-only disk of a bundle, once for the same files; the least used ones go. Throws `image_build_failed`. */
export async function makeBundleDisk(bundle: string, place: { data: string; path: string }, world: World): Promise<BundleDisk> {
  const digest = await fingerprint(bundle)
  const folder = join(imagesFolder(place.data), 'bundles')
  const file = join(folder, `${digest}.ext4`)
  if (!existsSync(file)) {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const making = join(folder, `.${digest}-${process.pid}-${Buffer.from(world.randomBytes(6)).toString('hex')}`)
    try {
      await makeExt4(bundle, making, place.path)
      await rename(making, file)
    } finally {
      await rm(making, { force: true })
    }
    await dropOldest(folder)
  }
  const now = world.now() / 1000
  await utimes(file, now, now)
  return { digest, file }
}

/** Bundles are not changed once they are made, so names, sizes and times tell two of them apart without reading gigabytes. */
async function fingerprint(bundle: string): Promise<string> {
  const hash = createHash('sha256')
  const walk = async (folder: string): Promise<void> => {
    const names = (await readdir(folder)).sort()
    for (const name of names) {
      const path = join(folder, name)
      const facts = await lstat(path)
      const target = facts.isSymbolicLink() ? await readlink(path) : ''
      hash.update(
        `${path.slice(bundle.length)}\0${facts.mode}\0${facts.isDirectory() ? 0 : facts.size}\0${facts.mtimeMs}\0${target}\n`,
      )
      if (facts.isDirectory()) await walk(path)
    }
  }
  await walk(bundle)
  return hash.digest('hex').slice(0, 32)
}

/** A disk that a guest has open lives on until it closes it. */
async function dropOldest(folder: string): Promise<void> {
  const files = (await readdir(folder)).filter(name => name.endsWith('.ext4')).map(name => join(folder, name))
  const dated = await Promise.all(files.map(async file => ({ file, usedMs: (await stat(file)).mtimeMs })))
  dated.sort((a, b) => b.usedMs - a.usedMs)
  for (const { file } of dated.slice(disksMax)) await rm(file, { force: true })
}
