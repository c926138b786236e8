import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'

const stagingIn = (dataFolder: string) => join(dataFolder, 'staging')

/** A folder of its own for one installation, on the same file system as the bundles; gone when disposed, sealed or not. */
export async function openStaging(dataFolder: string): Promise<{ folder: string } & AsyncDisposable> {
  await mkdir(stagingIn(dataFolder), { recursive: true, mode: 0o700 })
  const folder = await mkdtemp(join(stagingIn(dataFolder), 'install-'))
  return { folder, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true, maxRetries: 3 }) }
}

/** Removes what installations of an earlier process left behind. Call before the first installation. */
export const cleanStaging = (dataFolder: string): Promise<void> =>
  rm(stagingIn(dataFolder), { recursive: true, force: true, maxRetries: 3 })
