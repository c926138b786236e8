import { chmodSync, existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { ConductorError } from '@maestro/contract'
import type { World } from '../world.ts'

const keyBytes = 32

/**
 * Reads a file of 32 random bytes in base64url and makes it where it is missing: file mode 0600, folder 0700.
 * Throws `config_invalid` where the file holds something else.
 */
export function readKeyFile(path: string, world: World): Buffer {
  if (!existsSync(path)) makeKeyFile(path, world)
  chmodSync(path, 0o600)
  const text = readFileSync(path, 'utf8').trim()
  const key = Buffer.from(text, 'base64url')
  if (key.length !== keyBytes || key.toString('base64url') !== text) {
    throw new ConductorError('config_invalid', `${path} does not hold ${keyBytes} bytes in base64url.`)
  }
  return key
}

function makeKeyFile(path: string, world: World): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const partial = `${path}.${process.pid}.partial`
  const text = Buffer.from(world.randomBytes(keyBytes)).toString('base64url')
  writeFileSync(partial, `${text}\n`, { mode: 0o600, flush: true })
  try {
    // A link fails where the key is already there: whoever came first keeps its key.
    linkSync(partial, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    rmSync(partial, { force: true })
  }
}
