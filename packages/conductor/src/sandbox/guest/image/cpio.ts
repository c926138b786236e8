/** One thing in an archive. Folders above it must come before it. */
export interface ArchiveEntry {
  /** Without a slash in front. */
  path: string
  kind: 'file' | 'folder' | 'link'
  /** Of a file its content, of a link its target. */
  content?: Buffer | string
  executable?: boolean
}

const kinds = { file: 0o100644, folder: 0o040755, link: 0o120777 } as const
const alignment = 4

/** An archive in the "newc" format that the kernel unpacks as its first file system; the same entries make the same bytes. */
export function makeCpio(entries: readonly ArchiveEntry[]): Buffer {
  const parts: Buffer[] = []
  const add = (inode: number, path: string, mode: number, content: Buffer) => {
    const name = Buffer.from(`${path}\0`)
    const fields = [inode, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, name.length, 0]
    const header = `070701${fields.map(field => field.toString(16).padStart(8, '0')).join('')}`
    parts.push(padded(Buffer.concat([Buffer.from(header), name])), padded(content))
  }
  for (const [index, { path, kind, content = '', executable }] of entries.entries()) {
    add(index + 1, path, kinds[kind] | (executable ? 0o111 : 0), Buffer.from(content as string))
  }
  add(0, 'TRAILER!!!', 0, Buffer.alloc(0))
  return Buffer.concat(parts)
}

function padded(bytes: Buffer): Buffer {
  const missing = (alignment - (bytes.length % alignment)) % alignment
  return missing === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(missing)])
}
