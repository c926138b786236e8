/** `npm run check`: format, lint, types, import directions, generated files, tidiness, unit tests. Stops at nothing, reports all. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { findForbiddenImports } from './deps.ts'
import { findUntidy } from './tidy.ts'

const root = join(import.meta.dirname, '..')
const bin = (name: string) => join(root, 'node_modules/.bin', name)

const program = (command: string, args: string[]) => () => {
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, PATH: `${join(process.execPath, '..')}:${process.env['PATH']}` },
  })
  return status === 0 ? [] : [`${stdout}${stderr}`.trim()]
}

const checks: Record<string, () => string[]> = {
  'format and lint': program(bin('biome'), ['check', '--error-on-warnings', '.']),
  types: program(bin('tsc'), ['-p', '.']),
  'types of the console': program(bin('tsc'), ['-p', 'packages/console']),
  'import directions': () => findForbiddenImports(root),
  'generated files': program(process.execPath, ['scripts/generate.ts', '--check']),
  tidiness: () => findUntidy(root),
  ...(process.argv.includes('--no-tests') ? {} : { 'unit tests': program(process.execPath, ['scripts/test.ts', 'unit']) }),
}

let failed = 0
for (const [name, run] of Object.entries(checks)) {
  const started = performance.now()
  const faults = run()
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  console.log(`${faults.length === 0 ? 'ok  ' : 'FAIL'} ${name} (${seconds} s)`)
  for (const fault of faults) console.log(fault.replace(/^/gm, '     '))
  failed += faults.length === 0 ? 0 : 1
}
process.exitCode = failed === 0 ? 0 : 1
