/** Holds the direction of imports written down in deps.json. */
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'

interface Rules {
  packages: Record<string, string[]>
  conductor: { ports: string[]; folders: Record<string, string[]> }
  nodeless: string[]
}

const importPattern =
  /(?:^|\n)\s*(?:import|export)\s[^'"]*?from\s+['"]([^'"]+)['"]|(?:^|\n)\s*import\s+['"]([^'"]+)['"]|import\(\s*['"]([^'"]+)['"]\s*\)/g

/** Every import that deps.json forbids, as a sentence that says how to allow it. */
export function findForbiddenImports(root: string): string[] {
  const rules = JSON.parse(readFileSync(join(root, 'deps.json'), 'utf8')) as Rules
  const faults: string[] = []
  for (const file of globSync('packages/*/src/**/*.{ts,tsx}', { cwd: root })) {
    const [, owner, , ...rest] = file.split('/') as [string, string, string, ...string[]]
    const inside = rest.join('/')
    const isTest = /\.(test|contract)\.tsx?$/.test(file) || inside.includes('/fixtures/')
    for (const match of readFileSync(join(root, file), 'utf8').matchAll(importPattern)) {
      const target = (match[1] ?? match[2] ?? match[3])!
      if (target.startsWith('@maestro/')) {
        const wanted = target.split('/')[1]!
        // Tests may use the kit for tests, whoever they belong to.
        if (wanted !== owner && !rules.packages[owner]?.includes(wanted) && !(isTest && wanted === 'testkit'))
          faults.push(`${file} imports ${target}: packages.${owner} in deps.json does not list ${JSON.stringify(wanted)}.`)
      } else if (target.startsWith('.')) {
        const path = normalize(join(dirname(inside), target))
        if (path === '../package.json') continue
        if (path.startsWith('..'))
          faults.push(`${file} reaches into another package by path (${target}); import @maestro/… instead.`)
        else if (owner === 'conductor' && !isTest) faults.push(...conductorFault(rules.conductor, file, inside, path))
      } else if (target.startsWith('node:') && rules.nodeless.includes(owner) && !isTest) {
        faults.push(`${file} imports ${target}: ${owner} also runs in the browser; take what you need as a parameter.`)
      }
    }
  }
  return faults
}

function conductorFault({ ports, folders }: Rules['conductor'], file: string, inside: string, path: string): string[] {
  const from = inside.includes('/') ? inside.slice(0, inside.indexOf('/')) : null
  const to = path.includes('/') ? path.slice(0, path.indexOf('/')) : null
  if (from === null || from === to || ports.includes(path)) return []
  const allowed = folders[from]
  if (!allowed) return [`${file}: conductor.folders in deps.json does not know the folder ${JSON.stringify(from)}.`]
  if (to !== null && (allowed.includes(to) || allowed.includes(path))) return []
  return [
    `${file} imports ${path}: stages meet in wire.ts. Take a port as a parameter, or add ${JSON.stringify(to ?? path)} to conductor.folders.${from} in deps.json and say why.`,
  ]
}
