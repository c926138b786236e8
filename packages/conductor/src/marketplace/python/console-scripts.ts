import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ConductorError } from '@maestro/contract'
import type { Target } from './launcher.ts'
import { normalizedName } from './read-resolution.ts'

const bytesMax = 256 * 1024
const identifier = '[A-Za-z_][A-Za-z0-9_]*'
const dotted = `${identifier}(?:\\.${identifier})*`
const reference = new RegExp(`^(${dotted})\\s*:\\s*(${dotted})\\s*(?:\\[[^\\]]*\\])?$`)
const scriptName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/

/** `package.module`, as it may follow `python -m`. */
export const isModuleName = (text: string): boolean => new RegExp(`^${dotted}$`).test(text)

/** `module:function` of an entry point, or null where it is none. Untrusted: it ends up in a program of ours. */
export function readReference(text: unknown): Target | null {
  const found = typeof text === 'string' && text.length < 500 ? reference.exec(text.trim()) : null
  return found ? { kind: 'call', module: found[1]!, attributes: found[2]!.split('.') } : null
}

/** Scripts by name, what cannot be one left out. */
export function scriptsOf(pairs: Iterable<[string, unknown]>): Map<string, Target> {
  const scripts = new Map<string, Target>()
  for (const [name, text] of pairs) {
    const target = scriptName.test(name) ? readReference(text) : null
    if (target) scripts.set(name, target)
  }
  return scripts
}

/** The `[console_scripts]` of an entry_points.txt. */
export function readEntryPoints(text: string): Map<string, Target> {
  const pairs: [string, string][] = []
  let section = ''
  for (const line of text.split(/\r?\n/)) {
    const trimmed = line.trim()
    if (trimmed.startsWith('[')) section = trimmed
    else if (section === '[console_scripts]' && trimmed.includes('=')) {
      const at = trimmed.indexOf('=')
      pairs.push([trimmed.slice(0, at).trim(), trimmed.slice(at + 1).trim()])
    }
  }
  return scriptsOf(pairs)
}

/** The console scripts of one installed package, or of all of them. */
export async function installedScripts(packages: string, only?: string): Promise<Map<string, Target>> {
  const scripts = new Map<string, Target>()
  for (const folder of (await readdir(packages).catch(() => [])).sort()) {
    const [, name = ''] = /^(.+?)-[^-]+\.dist-info$/.exec(folder) ?? []
    if (name === '' || (only !== undefined && normalizedName(name) !== normalizedName(only))) continue
    const text = await readFile(join(packages, folder, 'entry_points.txt'), 'utf8').catch(() => '')
    for (const [script, target] of readEntryPoints(text.slice(0, bytesMax))) scripts.set(script, target)
  }
  return scripts
}

/**
 * Which of several scripts is the server: the one asked for, the only one, the one named like the package, the only one named like an
 * MCP server. Null where there is none at all. Throws `package_not_runnable` where it cannot be told.
 */
export function chooseScript(scripts: ReadonlyMap<string, Target>, packageName: string, wanted?: string): string | null {
  const names = [...scripts.keys()].sort()
  if (wanted !== undefined) return scripts.has(wanted) ? wanted : null
  if (names.length <= 1) return names[0] ?? null
  const own = names.filter(name => normalizedName(name) === normalizedName(packageName))
  if (own.length === 1) return own[0]!
  const servers = names.filter(name => /^mcp-server-|-mcp$|^mcp-/.test(name))
  if (servers.length === 1) return servers[0]!
  throw new ConductorError('package_not_runnable', `The package has several programs: ${names.join(', ')}.`)
}
