import { open, readFile, realpath } from 'node:fs/promises'
import { extname, join, normalize, sep } from 'node:path'
import { ConductorError } from '@maestro/contract'

/** What of a package.json says how to start it. Untrusted: any field may be anything. */
export interface PackageFacts {
  name?: unknown
  version?: unknown
  bin?: unknown
  main?: unknown
  exports?: unknown
  engines?: unknown
  dependencies?: unknown
  optionalDependencies?: unknown
}

/** Reads a package.json. Throws `package_not_runnable` where it is no JSON object. */
export async function readPackage(folder: string): Promise<PackageFacts> {
  try {
    const facts: unknown = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'))
    if (typeof facts === 'object' && facts !== null && !Array.isArray(facts)) return facts
  } catch {
    // Said below.
  }
  throw new ConductorError('package_not_runnable', 'The package has no package.json that can be read.')
}

/** The programs a package offers, by name. Aliases of one file stay apart. */
export function binsOf(facts: PackageFacts): Map<string, string> {
  const own = typeof facts.name === 'string' ? facts.name.replace(/^@[^/]*\//, '') : 'default'
  if (typeof facts.bin === 'string') return new Map([[own, facts.bin]])
  if (typeof facts.bin !== 'object' || facts.bin === null) return new Map()
  return new Map(Object.entries(facts.bin).filter((pair): pair is [string, string] => typeof pair[1] === 'string'))
}

/**
 * Which file of a package is its server, relative to the package. Pure; null where the package.json does not say.
 * Order: the program asked for; the only one; the one named like the package; the only one named like an MCP server; `exports`, `main`.
 * Throws `package_not_runnable` where there are several or the one asked for is none of them.
 */
export function chooseEntry(facts: PackageFacts, wanted: string | undefined): string | null {
  const bins = binsOf(facts)
  const names = [...bins.keys()].sort().join(', ')
  if (wanted !== undefined) {
    const path = bins.get(wanted)
    if (path !== undefined) return path
    throw new ConductorError(
      'package_not_runnable',
      `The package has no program ${JSON.stringify(wanted)}; it has ${names || 'none'}.`,
    )
  }
  const only = soleFile([...bins.values()])
  if (only) return only
  const own = typeof facts.name === 'string' ? bins.get(facts.name.replace(/^@[^/]*\//, '')) : undefined
  if (own !== undefined) return own
  const servers = [...bins].filter(([name]) => /^mcp-server-|-mcp$|^mcp-/.test(name)).map(([, path]) => path)
  const server = soleFile(servers)
  if (server) return server
  if (bins.size > 0) throw new ConductorError('package_not_runnable', `The package has several programs: ${names}.`)
  return mainOf(facts)
}

const soleFile = (paths: readonly string[]): string | null => {
  const files = new Set(paths.map(path => normalize(path)))
  return files.size === 1 ? (paths[0] ?? null) : null
}

function mainOf(facts: PackageFacts): string | null {
  const root =
    typeof facts.exports === 'object' && facts.exports !== null && '.' in facts.exports ? facts.exports['.'] : facts.exports
  return exportTarget(root, 0) ?? (typeof facts.main === 'string' ? facts.main : null)
}

function exportTarget(target: unknown, depth: number): string | null {
  if (typeof target === 'string') return target
  if (depth > 8 || typeof target !== 'object' || target === null) return null
  for (const condition of ['node', 'import', 'module', 'require', 'default']) {
    const found = exportTarget((target as Record<string, unknown>)[condition], depth + 1)
    if (found) return found
  }
  return null
}

/**
 * Makes sure that Node can run the file, following links as Node will, and that it is inside the bundle.
 * Returns the path relative to the bundle. Throws `package_not_runnable`.
 */
export async function runnableEntry(bundle: string, packageFolder: string, path: string): Promise<string> {
  const root = await realpath(bundle)
  const base = join(root, packageFolder, path)
  for (const candidate of [base, `${base}.js`, `${base}.mjs`, `${base}.cjs`, join(base, 'index.js')]) {
    const file = await realpath(candidate).catch(() => null)
    if (file === null) continue
    if (!file.startsWith(root + sep)) throw notRunnable(path, 'is outside the package')
    const head = await firstLine(file)
    if (head === null) continue
    const entry = file.slice(root.length + 1)
    const typescript = ['.ts', '.mts', '.cts'].includes(extname(file))
    if (typescript && entry.split(sep).includes('node_modules'))
      throw notRunnable(path, 'is TypeScript, which Node does not run from node_modules')
    const javascript = ['.js', '.mjs', '.cjs'].includes(extname(file))
    if (javascript || typescript || /^#!.*\bnode\b/.test(head)) return entry.split(sep).join('/')
    throw notRunnable(path, 'is not JavaScript')
  }
  throw notRunnable(path, 'is not in the package; was it built before it was published?')
}

const notRunnable = (path: string, why: string) =>
  new ConductorError('package_not_runnable', `The program ${JSON.stringify(path)} ${why}.`)

/** The start of a regular file, or null for a folder. */
async function firstLine(file: string): Promise<string | null> {
  await using handle = await open(file, 'r')
  if (!(await handle.stat()).isFile()) return null
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(256), 0, 256, 0)
  return buffer.toString('utf8', 0, bytesRead).split('\n', 1)[0] ?? ''
}
