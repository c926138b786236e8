import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** What a guest boots: one folder, named by its content, shared by all microVM drivers. */
export interface GuestImage {
  digest: string
  folder: string
  /** Unix ms. */
  builtAt: number
  /** Whether this Conductor's agent and Node are in it. */
  current: boolean
  /** Of what it was made: package files with their digests, the recipe, the Node inside. */
  parts: { recipe: string; node: string; kernel: string; packages: Record<string, string> }
  /** An uncompressed ELF kernel with a PVH entry. */
  kernel: string
  initramfs: string
  /** Read-only ext4, the first disk. */
  root: string
}

export const imagesFolder = (data: string): string => join(data, 'images')

/** Files of ours that are part of an image, and where they go: the agent, and what lies in /run/maestro. */
export const agentFile = fileURLToPath(new URL('../agent.pl', import.meta.url))
export const relayFile = fileURLToPath(new URL('../relay.pl', import.meta.url))
export const insideFiles: ReadonlyMap<string, string> = new Map([
  ['twin.cjs', fileURLToPath(new URL('../twin.cjs', import.meta.url))],
])
/** Counts up when the way an image is made changes. */
const recipeVersion = 2

/** What of an image is ours: another agent or another Node makes another image. */
export function imageRecipe(): string {
  const hash = createHash('sha256').update(`${recipeVersion} ${process.version} ${process.arch}\n`)
  for (const file of [agentFile, relayFile, ...insideFiles.values()]) hash.update(readFileSync(file))
  return hash.digest('hex').slice(0, 32)
}

/** Every image in the data folder, the newest first. */
export function listImages(data: string): GuestImage[] {
  const folder = imagesFolder(data)
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .flatMap(name => {
      const image = readImage(join(folder, name))
      return image ? [image] : []
    })
    .sort((a, b) => b.builtAt - a.builtAt)
}

/** The newest image that this Conductor's agent and Node are in; null where it must be built. */
export function findImage(data: string): GuestImage | null {
  return listImages(data).find(image => image.current) ?? null
}

function readImage(folder: string): GuestImage | null {
  try {
    const facts = JSON.parse(readFileSync(join(folder, 'image.json'), 'utf8')) as Pick<GuestImage, 'digest' | 'builtAt' | 'parts'>
    return {
      ...facts,
      current: facts.parts.recipe === imageRecipe(),
      folder,
      kernel: join(folder, 'vmlinux'),
      initramfs: join(folder, 'initramfs'),
      root: join(folder, 'root.ext4'),
    }
  } catch {
    // Half-built ones have no such file: it is written last.
    return null
  }
}
