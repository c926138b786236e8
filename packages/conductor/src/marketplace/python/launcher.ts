import type { Python } from '../../find-python.ts'

/** What a launcher turns into. Paths are relative to the bundle. */
export type Target =
  /** As a console script: import, then call. */
  | { kind: 'call'; module: string; attributes: string[] }
  /** As `python -m`. */
  | { kind: 'module'; module: string }
  /** As `python file`. */
  | { kind: 'file'; path: string }

/** Where a bundle keeps its launchers and its packages. Folders of people never hold `.maestro`: it is not copied. */
export const launchFolder = '.maestro/launch'
export const packagesFolder = '.maestro/site-packages'

/**
 * A program that starts a Python server with the packages of its bundle and the standard library, and nothing else of the machine:
 * drivers run it without `site`, which would add the system's. Deterministic, since it is part of the bundle.
 */
export function launcherText(
  name: string,
  target: Target,
  ownFolders: readonly string[],
  { version }: Pick<Python, 'version'>,
): string {
  const [major, minor] = version.split('.').map(Number)
  const folders = [...ownFolders, ...(target.kind === 'file' ? [folderOf(target.path)] : [])].filter(isFirst).map(literal)
  return `import os
import site
import sys

# Packages hold machine code and bytecode of one Python.
if sys.version_info[:2] != (${major}, ${minor}):
    sys.exit("installed for Python ${major}.${minor}, and this is %d.%d: deploy it again" % sys.version_info[:2])

here = os.path.dirname(os.path.abspath(__file__))
bundle = os.path.dirname(os.path.dirname(here))
packages = os.path.join(bundle, ${literal(packagesFolder)})
own = [os.path.normpath(os.path.join(bundle, folder)) for folder in [${folders.join(', ')}]]
sys.path[:] = own + [folder for folder in sys.path if os.path.abspath(folder) != here]
site.addsitedir(packages)
site.setquit()
site.setcopyright()
site.sethelper()
# Programs that the server starts with this Python find the same packages.
os.environ.setdefault("PYTHONPATH", os.pathsep.join([*own, packages]))
${ending(name, target)}`
}

function ending(name: string, target: Target): string {
  switch (target.kind) {
    case 'call':
      return `sys.argv[0] = ${literal(name)}
from importlib import import_module

sys.exit(import_module(${literal(target.module)}).${target.attributes.join('.')}())
`
    case 'module':
      return `import runpy

runpy.run_module(${literal(target.module)}, run_name="__main__", alter_sys=True)
`
    case 'file':
      return `import runpy

program = os.path.join(bundle, ${literal(target.path)})
sys.argv[0] = program
runpy.run_path(program, run_name="__main__")
`
  }
}

// JSON's escapes are Python's too, for text without lone surrogates, which no path from our own listings has.
const literal = (text: string): string => JSON.stringify(text)

const folderOf = (path: string): string => (path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : '')

const isFirst = (text: string, index: number, all: readonly string[]): boolean => all.indexOf(text) === index
