import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { chmodSync, existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { ConductorError } from '@maestro/contract'
import { calculateJwkThumbprint, exportJWK } from 'jose'

export interface SigningKey {
  privateKey: KeyObject
  publicKey: KeyObject
  /** RFC 7638 thumbprint of the public key. */
  kid: string
}

/**
 * Reads the Ed25519 key (PKCS #8, PEM) that signs capabilities, and makes it on the first start: file mode 0600, folder 0700.
 * Throws `config_invalid` where the file holds something else.
 */
export async function openSigningKey(keyFile: string): Promise<SigningKey> {
  if (!existsSync(keyFile)) makeKeyFile(keyFile)
  chmodSync(keyFile, 0o600)
  const privateKey = readKey(keyFile)
  const publicKey = createPublicKey(privateKey)
  return { privateKey, publicKey, kid: await calculateJwkThumbprint(await exportJWK(publicKey)) }
}

function makeKeyFile(keyFile: string): void {
  mkdirSync(dirname(keyFile), { recursive: true, mode: 0o700 })
  const { privateKey } = generateKeyPairSync('ed25519')
  const partial = `${keyFile}.${process.pid}.partial`
  writeFileSync(partial, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600, flag: 'w', flush: true })
  try {
    // A link fails where the key is already there: whoever came first keeps its key.
    linkSync(partial, keyFile)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    rmSync(partial, { force: true })
  }
}

function readKey(keyFile: string): KeyObject {
  try {
    const key = createPrivateKey(readFileSync(keyFile))
    if (key.asymmetricKeyType === 'ed25519') return key
  } catch {
    // Said below: what the file holds instead is nobody's business.
  }
  throw new ConductorError('config_invalid', `${keyFile} does not hold an Ed25519 private key.`)
}
