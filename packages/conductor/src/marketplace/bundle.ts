/**
 * A bundle is a release's files under a name that says what is in them: `bundles/sha256-<hex>`. The digest covers, sorted by path,
 * every folder, every file's content and executable bit, and every link's target; nothing else of a file system is kept.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { chmod, lstat, mkdir, readdir, readlink, realpath, rename, rm } from 'node:fs/promises'
import { isAbsolute, join, sep } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { ConductorError } from '@maestro/contract'

const entriesMax = 200_000
const bytesMax = 4 * 1024 ** 3

export interface Bundle {
  /** `sha256:<hex>`. */
  digest: string
  /** Folder name under `bundles/`. */
  name: string
  /** Where it is on this machine. */
  folder: string
}

type Item =
  | { kind: 'folder'; path: string }
  | { kind: 'file'; path: string; executable: boolean; sha256: string }
  | { kind: 'link'; path: string; target: string }

export const bundleName = (digest: string): string => digest.replace(':', '-')

/**
 * Moves a staged folder among the bundles. Untrusted content: a link that leads out of the folder, a device, a socket or a pipe is
 * refused. Where the same bundle is there already, that one is kept. Throws `package_integrity_failed`, `install_failed`.
 */
export async function sealBundle(staged: string, bundlesFolder: string): Promise<Bundle> {
  const digest = await dropDanglingLinks(staged)
    .then(() => digestOf(staged))
    .catch((error: NodeJS.ErrnoException) => {
      throw error.code === 'ENAMETOOLONG' ? tooBig('nested too deeply') : error
    })
  const name = bundleName(digest)
  const folder = join(bundlesFolder, name)
  await makeBundlesFolder(bundlesFolder)
  await makeReadable(staged)
  try {
    await rename(staged, folder)
  } catch (error) {
    // The name is the content, so what is there is what we were about to put there.
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error
    await rm(staged, { recursive: true, force: true })
  }
  return { digest, name, folder }
}

/** What is deployed may be private, and the data folder of a root Conductor can be passed through by everybody. */
async function makeBundlesFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  await chmod(folder, 0o700)
}

/** Whether the files on disk still are the ones the digest names. */
export async function verifyBundle(folder: string, digest: string): Promise<boolean> {
  return (await digestOf(folder).catch(() => null)) === digest
}

/** `sha256:<hex>` over the folder's content. Throws `package_integrity_failed` for what a bundle may not hold. */
export async function digestOf(folder: string): Promise<string> {
  const root = await realpath(folder)
  const hash = createHash('sha256').update('maestro-bundle-v1\n')
  for await (const item of walk(root)) {
    // One JSON text per line: no two different trees can share an encoding.
    hash.update(`${JSON.stringify(encode(item))}\n`)
  }
  return `sha256:${hash.digest('hex')}`
}

function encode(item: Item): unknown[] {
  switch (item.kind) {
    case 'folder':
      return ['d', item.path]
    case 'file':
      return ['f', item.path, item.executable ? 1 : 0, item.sha256]
    case 'link':
      return ['l', item.path, item.target]
  }
}

/** Depth first, names in code unit order, so that the same tree reads the same on every machine. */
async function* walk(root: string): AsyncGenerator<Item> {
  let entries = 0
  let bytes = 0
  const stack = ['']
  while (stack.length > 0) {
    const path = stack.pop() ?? ''
    const full = join(root, path)
    const facts = await lstat(full)
    if (++entries > entriesMax) throw tooBig(`more than ${entriesMax} files and folders`)
    if (facts.isDirectory()) {
      if (path !== '') yield { kind: 'folder', path }
      const names = (await readdir(full)).sort(byCodeUnit).reverse()
      for (const name of names) stack.push(path === '' ? name : `${path}/${name}`)
    } else if (facts.isFile()) {
      bytes += facts.size
      if (bytes > bytesMax) throw tooBig(`more than ${bytesMax / 1024 ** 3} GiB`)
      yield { kind: 'file', path, executable: (facts.mode & 0o111) !== 0, sha256: await sha256Of(full) }
    } else if (facts.isSymbolicLink()) {
      yield { kind: 'link', path, target: await insideTarget(root, full, path) }
    } else {
      throw new ConductorError('package_integrity_failed', `${path} is a device, a socket or a pipe; a bundle holds files only.`)
    }
  }
}

const byCodeUnit = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)

const tooBig = (what: string) => new ConductorError('install_failed', `The installed files are ${what}.`)

async function insideTarget(root: string, full: string, path: string): Promise<string> {
  const target = await readlink(full)
  const resolved = await realpath(full).catch(() => null)
  if (isAbsolute(target) || !resolved || !(resolved === root || resolved.startsWith(root + sep))) {
    throw new ConductorError('package_integrity_failed', `The link ${path} leads out of the package.`)
  }
  return target
}

async function sha256Of(file: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(file), hash)
  return hash.digest('hex')
}

/** A link to nothing serves nobody, and a program in the sandbox could later give it a meaning. */
async function dropDanglingLinks(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isSymbolicLink()) continue
    const link = join(entry.parentPath, entry.name)
    await realpath(link).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ELOOP') return rm(link)
      throw error
    })
  }
}

/** Nobody writes to a bundle again, and a sandbox that runs as another user must be able to read it. */
async function makeReadable(folder: string): Promise<void> {
  await chmod(folder, 0o755)
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    if (entry.isDirectory()) await chmod(path, 0o755)
    else if (entry.isFile()) await chmod(path, ((await lstat(path)).mode & 0o111) !== 0 ? 0o555 : 0o444)
  }
}
