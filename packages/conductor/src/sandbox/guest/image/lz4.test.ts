import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isLz4, uncompressLz4 } from './lz4.ts'

const frame = (...blocks: number[][]) =>
  Buffer.concat([
    Buffer.from([0x02, 0x21, 0x4c, 0x18]),
    ...blocks.map(block => Buffer.from([block.length & 255, block.length >> 8, 0, 0, ...block])),
  ])

describe('uncompressing LZ4', () => {
  it('copies literals, and matches that overlap what they write', () => {
    // "ab", then 10 bytes from 2 back, then "!"
    const block = [0x26, 0x61, 0x62, 2, 0, 0x10, 0x21]
    assert.ok(isLz4(frame(block)))
    assert.equal(uncompressLz4(frame(block), 13).toString(), 'abababababab!')
    assert.equal(uncompressLz4(frame(block, block), 26).toString(), 'abababababab!'.repeat(2))
  })

  it('reads lengths that do not fit a nibble', () => {
    const text = Buffer.alloc(300, 'x')
    assert.deepEqual(uncompressLz4(frame([0xf0, 255, 30, ...text]), 300), text)
    assert.deepEqual(uncompressLz4(frame([0x1f, 0x78, 1, 0, 255, 25, 0x00]), 300), text)
  })

  it('refuses what is broken', () => {
    for (const block of [
      [0xf0, 1],
      [0x10, 0x61, 9, 0, 0],
      [0x1f, 0x61, 0, 0, 1],
    ]) {
      assert.throws(() => uncompressLz4(frame(block), 40), /broken|gives/)
    }
    assert.ok(!isLz4(Buffer.from('1234567890')))
  })
})
