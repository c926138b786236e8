// `npm start`: all set-up that is missing, then Conductor with a first server to try. Runs on any Node ≥ 20.
import { fileURLToPath } from 'node:url'
import { ensureReady, runUnderPinnedNode } from './setup.mjs'

try {
  await ensureReady()
  const maestro = fileURLToPath(new URL('../packages/cli/bin/maestro.mjs', import.meta.url))
  process.exitCode = await runUnderPinnedNode([maestro, 'up', '--first-server', ...process.argv.slice(2)])
} catch (error) {
  process.stderr.write(`maestro set-up: ${error.message}\n`)
  process.exitCode = 1
}
