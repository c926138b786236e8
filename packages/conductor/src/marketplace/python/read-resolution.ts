import { ConductorError } from '@maestro/contract'
import { isObject } from '../rpc-link.ts'

/** One package that pip chose, with the checksum of the file it chose. */
export interface Pinned {
  name: string
  version: string
  sha256: string
}

const packagesMax = 2000

/**
 * Reads the report of `pip install --dry-run`, and holds every package in it to a checksum and to an index it came from. What a report
 * says is made of what indexes and packages say. Throws `package_integrity_failed`, `install_failed`.
 */
export function readResolution(text: string): Pinned[] {
  const items = parse(text)?.['install']
  if (!Array.isArray(items) || items.length > packagesMax)
    throw new ConductorError('install_failed', 'pip’s report of what it chose cannot be read.')
  return items.map(item => pinned(isObject(item) ? item : {}))
}

function pinned(item: Record<string, unknown>): Pinned {
  const metadata = objectAt(item, 'metadata')
  const name = metadata['name']
  const version = metadata['version']
  if (
    typeof name !== 'string' ||
    !/^[A-Za-z0-9][A-Za-z0-9._-]{0,213}$/.test(name) ||
    typeof version !== 'string' ||
    !isVersion(version)
  )
    throw new ConductorError('package_integrity_failed', 'A package has a name or a version that cannot be.')
  // A package may name any address as a dependency; what is there is no index's and can change at any time.
  if (item['is_direct'] !== false)
    throw new ConductorError('package_integrity_failed', `${name} does not come from a package index.`, { package: name })
  const archive = objectAt(objectAt(item, 'download_info'), 'archive_info')
  const sha256 = objectAt(archive, 'hashes')['sha256'] ?? /^sha256=(.*)$/.exec(String(archive['hash']))?.[1]
  if (typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/.test(sha256))
    throw new ConductorError(
      'package_integrity_failed',
      `${name} has no SHA-256 in the index, so what arrives cannot be held to it.`,
      { package: name },
    )
  return { name, version, sha256 }
}

/** What PEP 440 lets a version be made of; enough that it cannot be taken for an option or a second requirement. */
export const isVersion = (text: string): boolean => text.length <= 100 && /^\d[0-9A-Za-z.!+_-]*$/.test(text)

/** Names that indexes take for one: PEP 503. */
export const normalizedName = (name: string): string => name.toLowerCase().replace(/[-_.]+/g, '-')

function parse(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : null
  } catch {
    return null
  }
}

const objectAt = (value: Record<string, unknown>, key: string): Record<string, unknown> => {
  const found = value[key]
  return isObject(found) ? found : {}
}
