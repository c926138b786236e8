/** What a linter does not see: leftovers, files that grew too long, words of the glossary misused, paths of somebody’s machine. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const linesMax = 450
const forbidden: [RegExp, string][] = [
  [/\b(TODO|FIXME|XXX)\b/, 'leftover; do it, or open an issue and leave no mark'],
  [/\bregistry\.npmjs\b|\bregistry\.npmjs\.org\b/, 'names a package registry’s host'],
  [/(^|[\s'"`(=])\/(root|work|home\/[a-z]+)\/(main|shared|[a-z-]+\/node_modules)/, 'a path of somebody’s machine'],
]
const selfReferences = new Set(['scripts/tidy.ts'])

export function findUntidy(root: string): string[] {
  const files = spawnSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
  }).stdout.split('\n')
  const faults: string[] = []
  for (const file of files) {
    if (
      !/\.(ts|tsx|mjs|cjs|js|md|css|json|sql|html)$/.test(file) ||
      selfReferences.has(file) ||
      file.endsWith('package-lock.json') ||
      file.includes('/raw/')
    )
      continue
    const lines = readOrEmpty(join(root, file)).split('\n')
    if (/\.(ts|tsx)$/.test(file) && lines.length > linesMax)
      faults.push(`${file} has ${lines.length} lines (at most ${linesMax}): split it by idea.`)
    for (const [index, line] of lines.entries()) {
      for (const [pattern, why] of forbidden) if (pattern.test(line)) faults.push(`${file}:${index + 1}: ${why}.`)
    }
  }
  return faults
}

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
