import { execFile } from 'node:child_process'
import { realpathSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { ConductorError } from '@maestro/contract'

/** The Python of this machine that installs Python servers and runs them: both the same, since wheels are made for one version. */
export interface Python {
  /** The interpreter itself, behind every link and wrapper. */
  program: string
  /** The folder it lives in with its standard library. */
  prefix: string
  version: string
  /** What its wheels and bytecode are made for, such as `cpython-311-x86_64-linux-gnu`. */
  tag: string
  /** Version of its pip; null where it has none that can resolve without installing. */
  pip: string | null
}

const askMsMax = 20_000
const question = `
import json, os, sys, sysconfig
from importlib import metadata
try:
    pip = metadata.version("pip")
except metadata.PackageNotFoundError:
    pip = None
executable = sys.executable if sys.prefix == sys.base_prefix else sys._base_executable
print(json.dumps({
    "program": os.path.realpath(executable), "prefix": os.path.realpath(sys.base_prefix), "virtual": sys.prefix != sys.base_prefix,
    "version": ".".join(map(str, sys.version_info[:3])), "pip": pip,
    "tag": f"{sys.implementation.cache_tag}-{sysconfig.get_config_var('MULTIARCH') or sysconfig.get_platform()}",
}))`

let found: Promise<Python> | null = null

/**
 * The Python to use: the system's where it will do, else the first in PATH that does. Remembered once found. Throws `runtime_missing`
 * with what is there instead.
 */
export function findPython(): Promise<Python> {
  found ??= choosePython(candidatesIn(process.env['PATH'] ?? '')).catch(error => {
    found = null
    throw error
  })
  return found
}

/** The first of these that is Python 3.10 or newer and has a pip that resolves; without such a pip, the first that can run servers. */
export async function choosePython(candidates: readonly string[]): Promise<Python> {
  const seen: string[] = []
  let runsOnly: Python | null = null
  for (const candidate of candidates) {
    const python = await ask(candidate)
    if (!python) continue
    if (holdsMore(python.prefix)) seen.push(`${candidate} lives in ${python.prefix}, which sandboxes must not see`)
    else if (isHidden(python.prefix))
      seen.push(`${candidate} lives in ${python.prefix}, where sandboxes have a folder of their own`)
    else if (!isAtLeast(python.version, 3, 10)) seen.push(`${candidate} is ${python.version}`)
    else if (python.pip === null) runsOnly ??= python
    else return python
  }
  if (runsOnly) return runsOnly
  const there = seen.length > 0 ? `: ${seen.join(', ')}` : ''
  throw new ConductorError('runtime_missing', `Python servers need Python 3.10 or newer, and this machine has none${there}.`)
}

/** Says no where the Python can run servers but not install them. */
export function requirePip(python: Python): void {
  if (python.pip !== null) return
  throw new ConductorError('runtime_missing', `${python.program} has no pip 22.2 or newer, which installs Python servers.`)
}

/** One per file: links and wrappers lead to few. */
export function candidatesIn(path: string): string[] {
  const folders = ['/usr/bin', ...path.split(delimiter).filter(folder => folder.startsWith('/'))]
  return [...new Set(folders.map(folder => join(folder, 'python3')).filter(exists))]
}

async function ask(program: string): Promise<Python | null> {
  try {
    // Isolated: neither variables nor a folder that happens to be current may lead it.
    const { stdout } = await promisify(execFile)(program, ['-I', '-c', question], { cwd: '/', timeout: askMsMax })
    const { virtual, pip, ...python } = JSON.parse(stdout) as Python & { virtual: boolean }
    // A virtual environment is a view of another Python, with packages of its own that no sandbox sees.
    if (virtual) return python.program === program ? null : ask(python.program)
    return { ...python, pip: pip !== null && isAtLeast(pip, 22, 2) ? pip : null }
  } catch {
    return null
  }
}

/** Sandboxes see the folder of a Python; one that was put beside everything else would show them that. */
const holdsMore = (prefix: string): boolean => prefix === '/' || `${homedir()}/`.startsWith(`${prefix}/`)

/** What sandboxes have of their own lies over what the machine has there. */
const isHidden = (prefix: string): boolean => /^\/(tmp|dev|proc|sys|home\/sandbox)(\/|$)/.test(prefix)

function isAtLeast(version: string, major: number, minor: number): boolean {
  const [a = 0, b = 0] = version.split('.').map(Number)
  return a > major || (a === major && b >= minor)
}

function exists(path: string): boolean {
  try {
    realpathSync(path)
    return true
  } catch {
    return false
  }
}
