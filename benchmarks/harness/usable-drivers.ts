import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildImage, checkDrivers, driverOf, readConfig, realWorld } from '@maestro/conductor'
import { progress } from './progress.ts'

export interface UsableDrivers {
  usable: { name: string; detail: string }[]
  /** Those that were left out, with the reason. */
  left: { name: string; why: string }[]
}

/** Guest images stay from one run to the next: they are named by what they are made of. */
const cache = fileURLToPath(new URL('../../node_modules/.cache/maestro-microvm', import.meta.url))
const needImage = ['microvm', 'firecracker']
const silent = { info() {}, warn() {}, error() {}, with: () => silent }

/**
 * The drivers that say they run here, or those of them that were asked for. A quick look takes the one that is used where nothing else is
 * said. A guest image is built where one is wanted and missing.
 */
export async function usableDrivers(quick: boolean, wanted: readonly string[]): Promise<UsableDrivers> {
  const world = realWorld(silent)
  const place = { ...readConfig(), data: cache }
  const isWanted = (name: string) =>
    wanted.length > 0 ? wanted.includes(name) : !quick || name === driverOf('auto', process.platform)
  if (needImage.some(isWanted)) {
    await buildImage({ data: cache, path: process.env['PATH'] ?? '' }, world, progress).catch(cause => progress(String(cause)))
  }
  const all = await checkDrivers(world, place)
  const usable = all.filter(({ name, usable }) => usable && isWanted(name))
  const left = all.filter(driver => !usable.includes(driver))
  return {
    usable: usable.map(({ name, detail }) => ({ name, detail })),
    left: left.map(({ name, usable, detail }) => ({ name, why: usable ? 'left out of this run' : detail })),
  }
}

/** Lets a Conductor with this data folder find the images that are there. */
export function lendImages(data: string): void {
  mkdirSync(join(cache, 'images'), { recursive: true })
  symlinkSync(join(cache, 'images'), join(data, 'images'))
}
