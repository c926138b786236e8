import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ConductorError } from '@maestro/contract'
import type { World } from '../../../world.ts'
import { cleanRunFolders, ownerName } from '../../owner.ts'
import { fetchPackages, unpackPackages } from './debian-packages.ts'
import { checkMke2fs, makeExt4 } from './ext4.ts'
import { agentFile, type GuestImage, imageRecipe, imagesFolder, insideFiles, listImages, relayFile } from './guest-image.ts'
import { makeInitramfs } from './initramfs.ts'
import { extractKernel } from './kernel.ts'
import { finishRoot } from './root-folder.ts'

/**
 * Builds what guests boot from Debian's packages, without Docker and without rights: download, unpack, put together. The image is named by
 * what it is made of, so that the same packages and the same Conductor make it once. Throws `image_build_failed`.
 */
export async function buildImage(
  place: { data: string; path: string },
  world: World,
  onStep: (step: string) => void = () => {},
): Promise<GuestImage> {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new ConductorError(
      'image_build_failed',
      `guest images are built on Linux on x86-64, this is ${process.platform} on ${process.arch}`,
    )
  }
  const missing = await checkMke2fs(place.path)
  if (missing) throw new ConductorError('image_build_failed', missing)
  const parent = imagesFolder(place.data)
  await mkdir(parent, { recursive: true, mode: 0o700 })
  cleanRunFolders(parent)
  const staging = await mkdtemp(join(parent, `${ownerName}-`))
  try {
    return await buildIn(staging, parent, place, world, onStep)
  } catch (cause) {
    if (cause instanceof ConductorError) throw cause
    throw new ConductorError('image_build_failed', `the guest image could not be built: ${(cause as Error).message}`, {}, cause)
  } finally {
    await rm(staging, { recursive: true, force: true })
  }
}

async function buildIn(
  staging: string,
  parent: string,
  place: { data: string; path: string },
  world: World,
  onStep: (step: string) => void,
): Promise<GuestImage> {
  onStep('downloading Debian packages')
  const packages = await fetchPackages(join(staging, 'packages'))
  const recipe = imageRecipe()
  const digest = createHash('sha256')
    .update(JSON.stringify([recipe, packages.digests]))
    .digest('hex')
    .slice(0, 32)
  const already = listImages(place.data).find(image => image.digest === digest)
  if (already) return already

  onStep('unpacking')
  const unpacked = { agent: join(staging, 'agent'), kernel: join(staging, 'kernel'), root: join(staging, 'root') }
  await unpackPackages(packages.agent, unpacked.agent)
  await unpackPackages([packages.kernel], unpacked.kernel)
  await unpackPackages(packages.root, unpacked.root)
  const made = join(staging, 'image')
  await mkdir(made)

  onStep('preparing the kernel')
  const kernelName = (await readdir(join(unpacked.kernel, 'boot'))).find(name => name.startsWith('vmlinuz-'))
  if (!kernelName) throw new Error(`${packages.kernel} holds no kernel`)
  await writeFile(join(made, 'vmlinux'), extractKernel(await readFile(join(unpacked.kernel, 'boot', kernelName))))
  await writeFile(join(made, 'initramfs'), await makeInitramfs(unpacked, { agent: agentFile, relay: relayFile }))

  onStep('writing the root file system')
  await finishRoot(unpacked.root, process.execPath, insideFiles)
  await makeExt4(unpacked.root, join(made, 'root.ext4'), place.path)

  const facts: Pick<GuestImage, 'digest' | 'builtAt' | 'parts'> = {
    digest,
    builtAt: world.now(),
    parts: { recipe, node: process.version, kernel: kernelName.replace('vmlinuz-', ''), packages: packages.digests },
  }
  await writeFile(join(made, 'image.json'), `${JSON.stringify(facts, null, 2)}\n`)
  // Somebody else may have built the same meanwhile: theirs is as good.
  await rename(made, join(parent, digest)).catch(cause => {
    if (!['EEXIST', 'ENOTEMPTY'].includes((cause as NodeJS.ErrnoException).code ?? '')) throw cause
  })
  return listImages(place.data).find(image => image.digest === digest)!
}
