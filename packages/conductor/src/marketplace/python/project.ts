import { lstat, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ConductorError } from '@maestro/contract'
import { parse } from 'smol-toml'
import { isObject } from '../rpc-link.ts'
import { isModuleName, scriptsOf } from './console-scripts.ts'
import type { Target } from './launcher.ts'
import { isVersion } from './read-resolution.ts'
import { checkRequirement, readRequirements } from './requirements.ts'

const bytesMax = 1024 * 1024

/** What a folder says of itself as a Python server. Nothing of it is run to find out. */
export interface PythonProject {
  name: string | null
  version: string | null
  requiresPython: string | null
  /** Lines for pip, checked. */
  requirements: string[]
  scripts: Map<string, Target>
  /** Folders, relative, in which its own modules are. */
  roots: string[]
}

/** Where a folder of Python sources usually begins. */
const usualFiles = ['server.py', 'main.py', '__main__.py', 'app.py', 'src/server.py', 'src/main.py']

/**
 * Reads pyproject.toml (PEP 621) and requirements.txt. Null for a folder that has neither and no usual Python program. Untrusted.
 * Throws `package_not_runnable`, `package_integrity_failed`.
 */
export async function readProject(folder: string): Promise<PythonProject | null> {
  const pyproject = await readToml(join(folder, 'pyproject.toml'))
  const hasRequirements = await isThere(join(folder, 'requirements.txt'))
  if (!pyproject && !hasRequirements && (await firstFile(folder, usualFiles)) === null) return null
  const facts = objectAt(pyproject ?? {}, 'project')
  const listed = await readRequirements(folder)
  const dependencies = facts['dependencies'] ?? []
  if (!Array.isArray(dependencies) || !dependencies.every(item => typeof item === 'string'))
    throw unclear('its dependencies are no list of requirements')
  if (Array.isArray(facts['dynamic']) && facts['dynamic'].includes('dependencies') && !hasRequirements)
    throw unclear('its dependencies are only known to its build program, which is not run; add a requirements.txt')
  return {
    name: textAt(facts, 'name', /^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/),
    version: textAt(facts, 'version', /^\d/),
    requiresPython: textAt(facts, 'requires-python', /^[0-9A-Za-z.*+!~<>=, ]{1,100}$/),
    requirements: [...listed, ...dependencies.map(checkRequirement)],
    scripts: scriptsOf(Object.entries(objectAt(facts, 'scripts'))),
    roots: (await isThere(join(folder, 'src'))) ? ['', 'src'] : [''],
  }
}

/**
 * How the folder's server starts where `--bin` names none: its one script, or the usual files, or its package.
 * Null where nothing says it.
 */
export async function usualTarget(folder: string, project: PythonProject, script: string | null): Promise<Target | null> {
  if (script !== null) return project.scripts.get(script) ?? null
  const file = await firstFile(folder, usualFiles)
  if (file !== null) return { kind: 'file', path: file }
  return project.name === null ? null : moduleTarget(folder, project, project.name.replaceAll(/[-.]/g, '_'))
}

/** The module of the folder by this name, where it has one that can be run. */
export async function moduleTarget(folder: string, project: PythonProject, module: string): Promise<Target | null> {
  if (!isModuleName(module)) return null
  const path = module.replaceAll('.', '/')
  for (const root of project.roots) {
    const found = await firstFile(join(folder, root), [`${path}/__main__.py`, `${path}.py`])
    if (found !== null) return { kind: 'module', module }
  }
  return null
}

/** The little that `importlib.metadata` needs to answer the project's question for its own version. */
export function distInfo({ name, version }: PythonProject): { folder: string; metadata: string } | null {
  if (name === null || version === null || !isVersion(version)) return null
  const normalized = name.toLowerCase().replace(/[-_.]+/g, '_')
  return {
    folder: `${normalized}-${version.replaceAll('-', '_')}.dist-info`,
    metadata: `Metadata-Version: 2.1\nName: ${name}\nVersion: ${version}\n`,
  }
}

async function readToml(file: string): Promise<Record<string, unknown> | null> {
  const facts = await lstat(file).catch(() => null)
  if (!facts) return null
  if (!facts.isFile() || facts.size > bytesMax) throw unclear('pyproject.toml cannot be read')
  try {
    return parse(await readFile(file, 'utf8'))
  } catch (cause) {
    const line = cause instanceof Error ? cause.message.split('\n', 1)[0] : ''
    throw new ConductorError('package_not_runnable', `pyproject.toml cannot be read: ${line}`, {}, cause)
  }
}

async function firstFile(folder: string, paths: readonly string[]): Promise<string | null> {
  for (const path of paths) if ((await lstat(join(folder, path)).catch(() => null))?.isFile()) return path
  return null
}

const isThere = async (path: string): Promise<boolean> => (await lstat(path).catch(() => null)) !== null

const objectAt = (value: Record<string, unknown>, key: string): Record<string, unknown> => {
  const found = value[key]
  return isObject(found) ? found : {}
}

const textAt = (facts: Record<string, unknown>, key: string, pattern: RegExp): string | null => {
  const value = facts[key]
  return typeof value === 'string' && value.length <= 200 && pattern.test(value) ? value : null
}

const unclear = (why: string) => new ConductorError('package_not_runnable', `The folder is a Python project, but ${why}.`)
