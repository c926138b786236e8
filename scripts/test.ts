/**
 * Runs the tests: `unit` (one process), `runtime` (sandbox drivers against the real kernel), `console` (browser against a mock), `e2e` (the
 * product as processes); all without a word.
 * Other words are file name parts to keep: `npm test -- unit ledger`. Ends with one line that counts them all.
 */
import { spawn } from 'node:child_process'
import { globSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

interface Suite {
  files: string[]
  exclude?: string
  flags: string[]
}

const root = join(import.meta.dirname, '..')
const suites: Record<string, Suite> = {
  unit: {
    files: ['packages/{contract,logic,conductor,cli,testkit}/src/**/*.test.ts', 'scripts/*.test.ts', 'benchmarks/**/*.test.ts'],
    exclude: '.driver.test.ts',
    flags: ['--test-isolation=none', '--test-timeout=120000'],
  },
  runtime: {
    files: ['packages/conductor/src/sandbox/**/*.driver.test.ts', 'tests/runtime/**/*.runtime.ts'],
    flags: ['--test-concurrency=1', '--test-timeout=600000'],
  },
  console: { files: ['packages/console/tests/*.test.ts', 'packages/console/src/**/*.test.ts'], flags: ['--test-isolation=none'] },
  e2e: { files: ['tests/e2e/**/*.e2e.ts'], flags: ['--test-concurrency=1', '--test-timeout=600000'] },
}

const words = process.argv.slice(2)
const wanted = Object.keys(suites).filter(name => words.includes(name))
const parts = words.filter(word => !(word in suites))
const totals: Record<string, number> = { pass: 0, fail: 0, cancelled: 0, skipped: 0 }
let failed = false

for (const name of wanted.length > 0 ? wanted : Object.keys(suites)) {
  const { files, exclude, flags } = suites[name]!
  const found = files
    .flatMap(pattern =>
      globSync(pattern, {
        cwd: root,
        exclude: path => path.includes('node_modules') || (exclude !== undefined && path.endsWith(exclude)),
      }),
    )
    .filter(file => parts.length === 0 || parts.some(part => file.includes(part)))
    .sort()
  if (found.length === 0) continue
  console.log(`\n# ${name}: ${found.length} files`)
  failed = !(await runSuite([...flags, ...found])) || failed
}

const { pass, fail, cancelled, skipped } = totals as Record<'pass' | 'fail' | 'cancelled' | 'skipped', number>
console.log(`\n${pass} passed, ${fail + cancelled} failed, ${skipped} skipped`)
// A run that found nothing to run has shown nothing.
process.exitCode = failed || pass === 0 ? 1 : 0

async function runSuite(args: string[]): Promise<boolean> {
  const child = spawn(process.execPath, ['--test', '--test-reporter=spec', ...args], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  for await (const line of createInterface(child.stdout)) {
    const count = /^ℹ (pass|fail|cancelled|skipped) (\d+)$/.exec(line)
    if (count) totals[count[1]!]! += Number(count[2])
    console.log(line)
  }
  return new Promise(resolve => child.once('close', code => resolve(code === 0)))
}
