import { createHash } from 'node:crypto'
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Bundle, bundleName } from './bundle.ts'

/** Remembers which bundle an installation ended in, so that the same one again costs nothing. */
export interface Receipts {
  /** Null where it was never installed, or the bundle is gone. */
  recall(parts: readonly string[]): Promise<Bundle | null>
  remember(parts: readonly string[], bundle: Bundle): Promise<void>
}

export function receiptsIn(bundlesFolder: string): Receipts {
  const folder = join(bundlesFolder, 'receipts')
  const fileOf = (parts: readonly string[]) => join(folder, createHash('sha256').update(JSON.stringify(parts)).digest('hex'))
  return {
    async recall(parts) {
      const digest = (await readFile(fileOf(parts), 'utf8').catch(() => '')).trim()
      if (!/^sha256:[0-9a-f]{64}$/.test(digest)) return null
      const bundle = { digest, name: bundleName(digest), folder: join(bundlesFolder, bundleName(digest)) }
      const there = await stat(bundle.folder).catch(() => null)
      return there?.isDirectory() ? bundle : null
    },
    async remember(parts, bundle) {
      await mkdir(folder, { recursive: true })
      await writeFile(fileOf(parts), `${bundle.digest}\n`)
    },
  }
}
