import { findPython, type Python } from '@maestro/conductor'
import { type Check, ok, weak } from './check.ts'

const mend = 'sudo apt-get install python3 python3-pip'

/** Whether servers written in Python can be installed and run; everything else works without. */
export async function checkPython(find: () => Promise<Python> = findPython): Promise<Check> {
  try {
    const { program, version, pip } = await find()
    return pip === null
      ? weak('python', `${version} at ${program}, without pip 22.2 or newer: no Python server can be installed`, mend)
      : ok('python', `${version} at ${program}, pip ${pip}`)
  } catch (error) {
    return weak('python', error instanceof Error ? error.message : String(error), mend)
  }
}
