// `node scripts/run.mjs <file.ts> …`: all set-up that is missing, then the file under the pinned Node. Runs on any Node ≥ 20.
import { ensureReady, runUnderPinnedNode } from './setup.mjs'

try {
  await ensureReady()
  process.exitCode = await runUnderPinnedNode(process.argv.slice(2))
} catch (error) {
  process.stderr.write(`maestro set-up: ${error.message}\n`)
  process.exitCode = 1
}
