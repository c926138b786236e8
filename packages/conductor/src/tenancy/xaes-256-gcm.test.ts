import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import test from 'node:test'
import { xaesOpen, xaesSeal } from './xaes-256-gcm.ts'

const nonce = Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWX')
const plaintext = Buffer.from('XAES-256-GCM')

test('the two vectors of the specification come out', () => {
  // One for each branch of the subkey derivation: https://c2sp.org/XAES-256-GCM#test-vectors
  const first = xaesSeal(Buffer.alloc(32, 1), nonce, plaintext, Buffer.alloc(0))
  assert.equal(first.toString('hex'), 'ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271')
  const second = xaesSeal(Buffer.alloc(32, 3), nonce, plaintext, Buffer.from('c2sp.org/XAES-256-GCM'))
  assert.equal(second.toString('hex'), '986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d')
})

test('10,000 drawn cases accumulate to the hash of the specification', () => {
  const stream = createHash('shake128', { outputLength: 4_000_000 }).digest()
  const results = createHash('shake128', { outputLength: 32 })
  let at = 0
  const draw = (count: number) => {
    at += count
    return stream.subarray(at - count, at)
  }
  for (let round = 0; round < 10_000; round++) {
    const [key, nonce] = [draw(32), draw(24)]
    const plaintext = draw(draw(1)[0]!)
    const aad = draw(draw(1)[0]!)
    const sealed = xaesSeal(key, nonce, plaintext, aad)
    results.update(sealed)
    if (round % 100 === 0) assert.deepEqual(xaesOpen(key, nonce, sealed, aad), Buffer.from(plaintext))
  }
  assert.ok(at < stream.length, 'the stream was long enough')
  assert.equal(results.digest('hex'), 'e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939')
})

test('nothing opens that differs in key, nonce, additional data, ciphertext, tag or length', () => {
  const key = Buffer.alloc(32, 7)
  const aad = Buffer.from('for this')
  const sealed = xaesSeal(key, nonce, plaintext, aad)
  assert.deepEqual(xaesOpen(key, nonce, sealed, aad), plaintext)
  const flip = (bytes: Buffer, bit: number) => {
    const copy = Buffer.from(bytes)
    copy[bit >> 3]! ^= 1 << (bit & 7)
    return copy
  }
  for (let bit = 0; bit < sealed.length * 8; bit++) assert.equal(xaesOpen(key, nonce, flip(sealed, bit), aad), null)
  for (let bit = 0; bit < nonce.length * 8; bit++) assert.equal(xaesOpen(key, flip(nonce, bit), sealed, aad), null)
  assert.equal(xaesOpen(flip(key, 255), nonce, sealed, aad), null)
  assert.equal(xaesOpen(key, nonce, sealed, Buffer.from('for that')), null)
  for (let length = 0; length < sealed.length; length++) assert.equal(xaesOpen(key, nonce, sealed.subarray(0, length), aad), null)
})
