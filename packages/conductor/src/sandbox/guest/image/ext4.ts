import { execFile } from 'node:child_process'
import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { ConductorError } from '@maestro/contract'

const blockBytes = 4096
const inodeBytes = 256
const makeMsMax = 300_000
/** mke2fs lives where the PATH of an ordinary user does not lead. */
const systemFolders = '/usr/sbin:/sbin'

/** Whether images can be made on this machine; the message says how to mend it. */
export async function checkMke2fs(path: string): Promise<string | null> {
  try {
    await promisify(execFile)('mke2fs', ['-V'], { env: { PATH: `${path}:${systemFolders}` }, timeout: makeMsMax })
    return null
  } catch {
    return 'mke2fs was not found: install e2fsprogs (Debian and Ubuntu: apt-get install e2fsprogs)'
  }
}

/** Writes a folder into a file as a read-only ext4 file system, no larger than it needs to be. The same folder makes the same bytes, but for times. */
export async function makeExt4(folder: string, file: string, path: string): Promise<void> {
  const { blocks, files } = await measure(folder)
  const inodes = files + 64
  const bytes = Math.ceil((blocks * blockBytes + inodes * inodeBytes) * 1.06) + 4 * 1024 * 1024
  const features = '^has_journal,^resize_inode,^metadata_csum,^64bit'
  const seed = '6d616573-7472-6f00-0000-000000000000'
  const options = [
    ...['-q', '-F', '-t', 'ext4', '-b', String(blockBytes), '-I', String(inodeBytes), '-N', String(inodes), '-m', '0'],
    ...['-O', features, '-U', seed, '-E', `hash_seed=${seed},root_owner=0:0,lazy_itable_init=0`, '-d', folder],
  ]
  try {
    // Times of making are the one thing that would differ.
    const env = { PATH: `${path}:${systemFolders}`, SOURCE_DATE_EPOCH: '0', E2FSPROGS_FAKE_TIME: '1' }
    await promisify(execFile)('mke2fs', [...options, file, `${Math.ceil(bytes / 1024)}k`], { env, timeout: makeMsMax })
  } catch (cause) {
    const said = (cause as { stderr?: string }).stderr?.trim().split('\n').at(-1) || String(cause)
    throw new ConductorError('image_build_failed', `mke2fs could not write ${file}: ${said}`, { file }, cause)
  }
}

/** Blocks and inodes a tree takes. */
async function measure(folder: string): Promise<{ blocks: number; files: number }> {
  let blocks = 2
  let files = 1
  for (const { name } of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, name)
    const facts = await lstat(path)
    if (facts.isDirectory()) {
      const inner = await measure(path)
      blocks += inner.blocks
      files += inner.files
    } else {
      files++
      // Extents and the last block of a file take their share.
      blocks += Math.ceil(facts.size / blockBytes) + 1
    }
  }
  return { blocks: blocks + Math.ceil(files / 64), files }
}
