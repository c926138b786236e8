import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface TemporaryFolder extends AsyncDisposable {
  readonly path: string
}

/** A folder of this test's own, removed with `await using`, together with the database of a Conductor that had its data there. */
export async function temporaryFolder(purpose: string): Promise<TemporaryFolder> {
  const path = await mkdtemp(join(tmpdir(), `maestro-e2e-${purpose}-`))
  return {
    path,
    async [Symbol.asyncDispose]() {
      for (const folder of [databaseFolder(path), path]) {
        if (folder !== null) await rm(folder, { recursive: true, force: true, maxRetries: 5 })
      }
    },
  }
}

/** Where Conductor keeps the database of this data folder: run by root, that may be outside of it. Null where there is none. */
export function databaseFolder(data: string): string | null {
  try {
    return (JSON.parse(readFileSync(join(data, 'database.json'), 'utf8')) as { folder: string }).folder
  } catch {
    return null
  }
}
