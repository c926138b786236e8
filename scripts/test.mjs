// `npm test`: all set-up that is missing, then every test, under the pinned Node. Runs on any Node ≥ 20.
import { ensureReady, runUnderPinnedNode } from './setup.mjs'

await ensureReady({ tests: true })
process.exitCode = await runUnderPinnedNode(['scripts/test.ts', ...process.argv.slice(2)])
