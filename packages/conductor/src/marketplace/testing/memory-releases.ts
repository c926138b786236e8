import type { ReleaseRow, Store } from '../../store/store.ts'

/** The part of a store that installing needs, in memory. Rows go through JSON as they would through a database. */
export function memoryReleases(): Store & { rows: ReleaseRow[] } {
  const rows: ReleaseRow[] = []
  const releases: Pick<Store, 'insertRelease' | 'findReleaseByVersion' | 'listReleases'> = {
    insertRelease: async row => void rows.push(JSON.parse(JSON.stringify(row))),
    findReleaseByVersion: async (tenant, kind, name, version, digest) =>
      rows.findLast(
        row =>
          row.tenant === tenant &&
          row.source.kind === kind &&
          row.name === name &&
          row.version === version &&
          (digest === undefined || row.digest === digest),
      ) ?? null,
    listReleases: async tenant => rows.filter(row => row.tenant === tenant),
  }
  return Object.assign(releases as Store, { rows })
}
