/** A program for tests: takes the data folder given, says whether it has it, and stays until it is killed. */
import { realWorld } from '../../world.ts'
import { lockDataFolder } from '../lock-data-folder.ts'
import { silent } from './samples.ts'

const [, , dataFolder = ''] = process.argv
try {
  await lockDataFolder(dataFolder, realWorld(silent))
  console.log('held')
} catch (error) {
  console.log((error as { code?: string }).code)
}
process.stdin.resume()
