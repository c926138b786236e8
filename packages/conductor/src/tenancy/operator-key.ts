import { timingSafeEqual } from 'node:crypto'
import type { World } from '../world.ts'
import { readKeyFile } from './key-file.ts'

export interface OperatorKey {
  /** The key as the operator sends it, base64url. Never log it. */
  readonly text: string
  /** Compares in constant time. */
  matches(given: string): boolean
}

/** Reads `keys/operator.key`, which whoever may read it is the operator by, and makes it on the first start. Throws `config_invalid`. */
export function readOperatorKey(path: string, world: World): OperatorKey {
  const key = readKeyFile(path, world)
  return {
    text: key.toString('base64url'),
    matches: given => {
      const bytes = Buffer.from(given, 'base64url')
      return bytes.length === key.length && timingSafeEqual(bytes, key)
    },
  }
}
