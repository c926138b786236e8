/** A program for tests: opens the store in the folder given and writes sessions until it is killed, printing what was acknowledged. */
import { localTenant } from '@maestro/contract'
import { realWorld } from '../../world.ts'
import { lockDataFolder } from '../lock-data-folder.ts'
import { openStore } from '../open-store.ts'
import { session, silent } from './samples.ts'

const [, , dataFolder = '', kind] = process.argv
const world = realWorld(silent)
await lockDataFolder(dataFolder, world)
const config = { databaseUrl: '', database: kind as 'system' | 'embedded', path: process.env['PATH'] ?? '' }
const store = await openStore({ config, world, dataFolder })
console.log(`postmaster ${store.database.pid()}`)

const write = async () => {
  for (;;) {
    const row = session({ openedAt: world.now() })
    await store.putSessions(localTenant, [row])
    console.log(row.id)
  }
}
await Promise.all([write(), write(), write(), write()])
