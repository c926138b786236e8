import { maestroBin } from './conductor.ts'
import { type Ran, run } from './run.ts'

/** Runs `maestro …` against the Conductor of this data folder, as a person would without a terminal. `input` is its standard input. */
export const maestro = (data: string, args: readonly string[], input = ''): Promise<Ran> =>
  run(process.execPath, [maestroBin, ...args], { input, env: { MAESTRO_DATA: data, NO_COLOR: '1' } })
