import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { LineSplitter } from './line-splitter.ts'

const split = (chunks: Buffer[], lineBytesMax = 1_000_000): { lines: string[]; whole: boolean } => {
  const lines: string[] = []
  const splitter = new LineSplitter(lineBytesMax, line => lines.push(line.toString('latin1')))
  const whole = chunks.every(chunk => splitter.push(chunk))
  if (whole) splitter.end()
  return { lines, whole }
}

describe('LineSplitter', () => {
  it('gives the same lines however the bytes are cut', () => {
    const text = fc
      .array(fc.constantFrom('a', 'é', '{"x":1}', '\n', '\r\n', ' ', '\t', '\r'), { maxLength: 60 })
      .map(parts => parts.join(''))
    fc.assert(
      fc.property(text, fc.array(fc.nat(80), { maxLength: 10 }), (whole, cuts) => {
        const bytes = Buffer.from(whole, 'latin1')
        const edges = [0, ...cuts.map(cut => Math.min(cut, bytes.length)).sort((a, b) => a - b), bytes.length]
        const chunks = edges.slice(1).map((edge, index) => bytes.subarray(edges[index], edge))
        const expected = whole
          .split('\n')
          .map(line => line.replace(/\r$/, ''))
          .filter(line => /[^ \t]/.test(line))
        assert.deepEqual(split(chunks), { lines: expected, whole: true })
      }),
    )
  })

  it('copies nothing that lies within one chunk', () => {
    const chunk = Buffer.from('{"a":1}\n{"b":2}\n')
    const seen: Buffer[] = []
    new LineSplitter(100, line => seen.push(line)).push(chunk)
    for (const line of seen) assert.equal(line.buffer, chunk.buffer)
  })

  it('refuses a line over the bound, whole or in pieces, with or without its end', () => {
    assert.equal(split([Buffer.from('12345678\n')], 8).whole, true)
    assert.equal(split([Buffer.from('123456789\n')], 8).whole, false)
    assert.equal(split([Buffer.from('12345'), Buffer.from('6789')], 8).whole, false)
    assert.equal(split([Buffer.from('12345'), Buffer.from('6789\n')], 8).whole, false)
    assert.equal(split([Buffer.from('123456789')], 8).whole, false)
  })
})
