/** Builds the one thing that needs building: the console. Everything else runs from its source. */
import { join } from 'node:path'
import { build } from 'vite'

await build({ root: join(import.meta.dirname, '../packages/console'), logLevel: 'warn' })
