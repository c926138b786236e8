import { statSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'

/**
 * A source as Conductor must hear it: a folder is named from the root, because Conductor runs elsewhere.
 * Anything else stays as it was typed.
 */
export function localSource(source: string, cwd: string): string {
  if (source === '~' || source.startsWith('~/')) return join(homedir(), source.slice(1))
  const isUrl = /^[a-z][a-z0-9+.-]*:\/\//i.test(source)
  const isPath = /^\.{0,2}\//.test(source) || source === '.' || source === '..'
  const here = resolve(cwd, source)
  return isPath || (!isUrl && statSync(here, { throwIfNoEntry: false })?.isDirectory()) ? here : source
}
