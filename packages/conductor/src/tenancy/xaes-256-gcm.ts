/**
 * XAES-256-GCM (C2SP, https://c2sp.org/XAES-256-GCM): AES-256-GCM under a key derived per nonce, so that 24-byte nonces
 * can be drawn at random for as many messages as one likes.
 */
import { createCipheriv, createDecipheriv } from 'node:crypto'

export const xaesKeyBytes = 32
export const xaesNonceBytes = 24
const tagBytes = 16

/** Returns ciphertext and tag. */
export function xaesSeal(key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array, aad: Uint8Array): Buffer {
  const cipher = createCipheriv('aes-256-gcm', deriveKey(key, nonce), nonce.subarray(12))
  cipher.setAAD(aad)
  return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()])
}

/** Returns the plaintext, or null where key, nonce, additional data or a single bit is not what was sealed. */
export function xaesOpen(key: Uint8Array, nonce: Uint8Array, sealed: Uint8Array, aad: Uint8Array): Buffer | null {
  if (sealed.length < tagBytes) return null
  const decipher = createDecipheriv('aes-256-gcm', deriveKey(key, nonce), nonce.subarray(12), { authTagLength: tagBytes })
  decipher.setAAD(aad)
  decipher.setAuthTag(sealed.subarray(sealed.length - tagBytes))
  const plaintext = decipher.update(sealed.subarray(0, sealed.length - tagBytes))
  try {
    return Buffer.concat([plaintext, decipher.final()])
  } catch {
    return null
  }
}

/** SP 800-108 counter mode over CMAC, as the specification unrolls it: two blocks, label `X`, the nonce's first half as context. */
function deriveKey(key: Uint8Array, nonce: Uint8Array): Buffer {
  const aes = createCipheriv('aes-256-ecb', key, null).setAutoPadding(false)
  const subkey = doubled(aes.update(Buffer.alloc(16)))
  const block = (counter: number) => {
    const message = Buffer.concat([Buffer.from([0, counter, 0x58, 0]), nonce.subarray(0, 12)])
    return aes.update(message.map((byte, index) => byte ^ (subkey[index] ?? 0)))
  }
  return Buffer.concat([block(1), block(2)])
}

/** Multiplies by x in GF(2^128), without a branch on key material. */
function doubled(block: Buffer): Buffer {
  const result = Buffer.alloc(16)
  let carry = 0
  for (let index = 15; index >= 0; index--) {
    const byte = block[index] ?? 0
    result[index] = ((byte << 1) | carry) & 0xff
    carry = byte >> 7
  }
  result[15] = (result[15] ?? 0) ^ (0x87 & -carry)
  return result
}
