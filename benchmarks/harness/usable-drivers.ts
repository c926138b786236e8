import { checkDrivers, readConfig, realWorld } from '@maestro/conductor'

export interface UsableDrivers {
  usable: { name: string; detail: string }[]
  /** Those that were left out, with the reason. */
  left: { name: string; why: string }[]
}

const silent = { info() {}, warn() {}, error() {}, with: () => silent }

/** The drivers that say they run here, or those of them that were asked for. A quick look takes only those whose sandboxes start in well under a second. */
export async function usableDrivers(quick: boolean, wanted: readonly string[]): Promise<UsableDrivers> {
  const all = await checkDrivers(realWorld(silent), readConfig())
  const isQuick = (name: string) => name === 'bubblewrap' || name === 'process'
  const usable = all.filter(({ name, usable }) => usable && (wanted.length > 0 ? wanted.includes(name) : !quick || isQuick(name)))
  const left = all.filter(driver => !usable.includes(driver))
  return {
    usable: usable.map(({ name, detail }) => ({ name, detail })),
    left: left.map(({ name, usable, detail }) => ({ name, why: usable ? 'left out of this run' : detail })),
  }
}
