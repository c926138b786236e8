import { maestroBin } from './conductor.ts'
import { type Ran, type RunOptions, run } from './run.ts'

/** Runs `maestro …` against the Conductor of this data folder, as a person would without a terminal. */
export const maestro = (data: string, args: readonly string[], options: RunOptions = {}): Promise<Ran> =>
  run(process.execPath, [maestroBin, ...args], { ...options, env: { MAESTRO_DATA: data, NO_COLOR: '1', ...options.env } })
