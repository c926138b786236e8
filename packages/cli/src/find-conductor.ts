import { readFile, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { ConductorError } from '@maestro/contract'

/** How to reach the Conductor of a data folder. */
export interface Whereabouts {
  dataFolder: string
  pid: number
  /** Without a path. */
  baseUrl: string
  operatorKey: string
}

interface Place {
  data: string | undefined
  environment: NodeJS.ProcessEnv
  cwd: string
}

/** `--data`, then MAESTRO_DATA, then the nearest `.maestro` upward from here, then `.maestro` here. */
export async function dataFolderOf({ data, environment, cwd }: Place): Promise<string> {
  const named = data ?? environment['MAESTRO_DATA']
  if (named) return resolve(cwd, named)
  for (let folder = cwd; ; folder = dirname(folder)) {
    const candidate = join(folder, '.maestro')
    if ((await stat(candidate).catch(() => null))?.isDirectory()) return candidate
    if (folder === dirname(folder)) return join(cwd, '.maestro')
  }
}

/** Throws `conductor_unreachable` where none has said that it runs, `operator_required` where its key may not be read. */
export async function findConductor(place: Place): Promise<Whereabouts> {
  const dataFolder = await dataFolderOf(place)
  const runtime = await readRuntime(join(dataFolder, 'run', 'conductor.json'))
  if (!runtime) throw new ConductorError('conductor_unreachable', `No Conductor runs on ${dataFolder}.`, { data: dataFolder })
  const keyFile = join(dataFolder, 'keys', 'operator.key')
  const key = await readFile(keyFile, 'utf8').catch(cause => {
    throw new ConductorError('operator_required', `The operator key in ${keyFile} cannot be read.`, {}, cause)
  })
  return { dataFolder, ...runtime, operatorKey: key.trim() }
}

async function readRuntime(file: string): Promise<{ pid: number; baseUrl: string } | null> {
  try {
    const { pid, apiUrl } = JSON.parse(await readFile(file, 'utf8')) as { pid: unknown; apiUrl: unknown }
    return typeof pid === 'number' && typeof apiUrl === 'string' ? { pid, baseUrl: new URL(apiUrl).origin } : null
  } catch {
    return null
  }
}
