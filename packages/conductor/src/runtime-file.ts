import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

export interface RuntimeFacts {
  pid: number
  port: number
  apiUrl: string
  startedAt: number
}

/** `<data>/run/conductor.json`: how the command line finds a running Conductor. Removed on a clean stop. */
export async function writeRuntimeFile(dataFolder: string, facts: RuntimeFacts): Promise<() => Promise<void>> {
  const folder = join(dataFolder, 'run')
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const file = join(folder, 'conductor.json')
  await writeFile(file, `${JSON.stringify(facts)}\n`, { mode: 0o600 })
  return () => rm(file, { force: true })
}
