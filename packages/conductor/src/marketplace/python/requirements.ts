import { lstat, readFile } from 'node:fs/promises'
import { join, posix } from 'node:path'
import { ConductorError } from '@maestro/contract'

const bytesMax = 1024 * 1024
const linesMax = 5000
const depthMax = 8

const name = '[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?'
const extras = '(?:\\s*\\[[A-Za-z0-9._, -]*\\])?'
const versions = '[0-9A-Za-z.*+!~<>=,() _-]*'
const marker = '(?:\\s*;[A-Za-z0-9_.\'"<>=!~()+, -]*)?'
const hashes = '(?:\\s+--hash=[a-z0-9]+:[0-9a-f]+)*'
const requirement = new RegExp(`^${name}${extras}(?:\\s*\\(?[~<>=!]${versions})?${marker}${hashes}$`)

/**
 * One requirement as it may be handed to pip, or an error. Untrusted: pip would fetch addresses and read options of files that name
 * them, and puts variables of the environment in. Throws `package_integrity_failed`, `package_not_runnable`.
 */
export function checkRequirement(text: string): string {
  const line = text.trim()
  if (requirement.test(line) && line.length <= 4000) return line
  if (/@|:\/\/|^\.{0,2}[/\\]|\.whl$/.test(line))
    throw new ConductorError(
      'package_integrity_failed',
      `${JSON.stringify(line.slice(0, 200))} does not come from a package index, so nothing says what arrives.`,
    )
  throw new ConductorError('package_not_runnable', `${JSON.stringify(line.slice(0, 200))} is not a requirement that can be read.`)
}

/**
 * The requirements of a folder's requirements.txt and of what it includes, as lines for pip; empty where there is none. Of options only
 * those that say where packages come from are kept, written out and without a password.
 */
export async function readRequirements(folder: string, file = 'requirements.txt', depth = 0): Promise<string[]> {
  const full = join(folder, file)
  const facts = await lstat(full).catch(() => null)
  if (!facts && depth === 0) return []
  if (!facts?.isFile() || facts.size > bytesMax || depth > depthMax)
    throw unclear(file, 'cannot be read as a list of requirements')
  const lines = joined(await readFile(full, 'utf8'))
  const found: string[] = []
  for (const line of lines) {
    if (line === '' || isTheFolderItself(line)) continue
    const [, option, value = ''] = /^(-[a-z]|--[a-z-]+)(?:[\s=]+(.*))?$/.exec(line) ?? []
    if (option === undefined) found.push(checkRequirement(line))
    else found.push(...(await optionLines(folder, file, option, value.trim(), depth)))
    if (found.length > linesMax) throw unclear(file, `names more than ${linesMax} packages`)
  }
  return found
}

async function optionLines(folder: string, file: string, option: string, value: string, depth: number): Promise<string[]> {
  switch (option) {
    case '-r':
    case '--requirement': {
      const included = posix.normalize(posix.join(posix.dirname(file), value))
      if (posix.isAbsolute(value) || included.startsWith('..')) throw unclear(file, 'includes a file from outside of its folder')
      return readRequirements(folder, included, depth + 1)
    }
    case '-i':
    case '--index-url':
      return [`--index-url ${indexUrl(file, value)}`]
    case '--extra-index-url':
      return [`--extra-index-url ${indexUrl(file, value)}`]
    case '--pre':
      return ['--pre']
    // What they ask for holds anyway.
    case '--only-binary':
    case '--prefer-binary':
    case '--require-hashes':
      return []
    default:
      throw unclear(file, `holds the option ${option}, which is not understood`)
  }
}

function indexUrl(file: string, value: string): string {
  const url = /^https:\/\/[^\s"'$\\;#{}]+$/.test(value) ? URL.parse(value) : null
  if (!url || url.username || url.password) throw unclear(file, 'names an index that is not a plain https URL')
  return url.href
}

/** Lines as pip reads them: continued by a backslash, comments taken off. */
const joined = (text: string): string[] =>
  text
    .replace(/\\\r?\n/g, ' ')
    .split(/\r?\n/)
    .map(line => line.replace(/(^|\s)#.*$/, '').trim())

/** The folder is on the path of its server anyway. */
const isTheFolderItself = (line: string): boolean => /^(-e\s+|--editable[\s=]+)?\.(\[[A-Za-z0-9._, -]*\])?\/?$/.test(line)

const unclear = (file: string, why: string) => new ConductorError('package_not_runnable', `${file} ${why}.`)
