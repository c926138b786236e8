import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { insideHome, insideUid } from './inside.ts'

const files = {
  passwd: `sandbox:x:${insideUid}:${insideUid}::${insideHome}:/bin/sh\n`,
  group: `sandbox:x:${insideUid}:\n`,
  hosts: '127.0.0.1 localhost sandbox\n::1 localhost\n',
  'nsswitch.conf': 'passwd: files\ngroup: files\nhosts: files\n',
}

/** Writes the small files of /etc that every sandbox sees, the same for all. Returns their folder. */
export function writeEtc(parent: string): string {
  const folder = join(parent, 'etc')
  mkdirSync(folder)
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text, { mode: 0o644 })
  return folder
}
