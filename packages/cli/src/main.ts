import { enableCompileCache } from 'node:module'

enableCompileCache()

const { runCommandLine } = await import('./run-command-line.ts')
const exitCode = await runCommandLine(process.argv.slice(2))
process.exitCode = exitCode
