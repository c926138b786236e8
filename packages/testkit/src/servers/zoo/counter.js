import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Keeps state, in memory and in a file: two sessions that share either would see each other. */
let count = 0
const file = join(tmpdir(), 'maestro-testkit-counter')
export const animal = {
  tools: {
    add: ({ by = 1 }) => {
      count += by
      return count
    },
    append: ({ text = '' }) => {
      const kept = (existsSync(file) ? readFileSync(file, 'utf8') : '') + text
      writeFileSync(file, kept)
      return kept
    },
  },
}
