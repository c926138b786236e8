/**
 * Goal: a large answer judged without its long strings is judged as by the whole text.
 * Method: generated answers whose long strings hold everything a string may and damage of every kind, against `JSON.parse` of all.
 * Replay a failure with SEED=<seed>.
 */
import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { readFrame } from './read-frame.ts'
import { membersOf } from './scan.ts'
import { isStringContent, withoutLongStrings } from './without-long-strings.ts'

const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31)
const bytesOf = (text: string) => new TextEncoder().encode(text)
const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** At another alignment than a fresh array has. */
function shifted(bytes: Uint8Array, by: number): Uint8Array {
  const room = new Uint8Array(bytes.length + by + 3)
  room.set(bytes, by)
  return room.subarray(by, by + bytes.length)
}

function isJson(bytes: Uint8Array): boolean {
  try {
    JSON.parse(strict.decode(bytes))
    return true
  } catch {
    return false
  }
}

const filler = fc.constantFrom(
  'plain text ',
  'zwölf Boxkämpfer ',
  '日本語の文 ',
  '🎻 and more ',
  'line\nline\r\n\t',
  '"quoted" \\ /',
  '\u0001\u001f',
)
const longText = fc
  .tuple(filler, fc.string({ unit: 'binary', maxLength: 40 }), filler)
  .map(([before, odd, after]) => before.repeat(400) + odd + after.repeat(400))
const answer = fc
  .record({ text: longText, other: fc.jsonValue(), isError: fc.boolean(), shift: fc.nat(3), isSpaced: fc.boolean() })
  .map(({ text, other, isError, shift, isSpaced }) => {
    const message = {
      jsonrpc: '2.0',
      id: 7,
      result: { content: [{ type: 'text', text }, other, { type: 'text', text }], isError },
    }
    return { isError, message, bytes: shifted(bytesOf(JSON.stringify(message, null, isSpaced ? 1 : 0)), shift) }
  })

test('an answer keeps its meaning, and its message is there when asked for', () => {
  fc.assert(
    fc.property(answer, ({ bytes, message, isError }) => {
      const frame = readFrame(bytes)
      assert.ok(frame.kind === 'response', JSON.stringify(frame))
      assert.equal(frame.isError, isError)
      assert.equal(frame.idKey, '7')
      assert.deepEqual(frame.message, JSON.parse(JSON.stringify(message)))
    }),
    { seed, numRuns: 60 },
  )
})

test('a damaged answer is JSON without its long strings exactly where it is with them', () => {
  // Somewhere in a text, or near one end, where the structure is.
  const where = fc.oneof(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(80), fc.integer({ min: -80, max: -1 }))
  const put = fc.oneof(
    fc.constantFrom('ab', 'é', '\\n', ',', '}', '[', '1', '"', '\n').map(bytesOf),
    fc.uint8Array({ maxLength: 2 }),
  )
  const damage = fc.array(fc.record({ where, put, cut: fc.constantFrom(0, 0, 0, 1) }), { minLength: 1, maxLength: 2 })
  const seen = { good: 0, bad: 0 }
  fc.assert(
    fc.property(answer, damage, ({ bytes }, places) => {
      let damaged = bytes
      for (const place of places) {
        const at = Number.isInteger(place.where)
          ? (place.where + damaged.length) % damaged.length
          : Math.floor(place.where * damaged.length)
        damaged = Uint8Array.from([...damaged.subarray(0, at), ...place.put, ...damaged.subarray(at + place.cut)])
      }
      const expected = isJson(damaged)
      const members = membersOf(damaged, 0)
      const result = Array.isArray(members) ? members.find(({ key }) => key === 'result') : undefined
      const light = result === undefined ? null : withoutLongStrings(damaged, result)
      if (light !== null) {
        if (expected) seen.good++
        else seen.bad++
        assert.equal(isJson(bytesOf(light)), expected)
      }
      const frame = readFrame(damaged)
      if (!expected) assert.equal(frame.kind, 'fault')
    }),
    { seed, numRuns: 300 },
  )
  assert.ok(seen.good > 3 && seen.bad > 3, JSON.stringify(seen))
})

test('what may stand in a string is what JSON.parse takes there', () => {
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 6 }),
    fc.constantFrom('\\n', '\\u00', '\\u12aF', '\\x', '\\"', 'abcd', 'é', '\ud83c\udfbb').map(bytesOf),
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), fc.nat(3), (pieces, shift) => {
      const content = Uint8Array.from(pieces.flatMap(bytes => [...bytes]))
      const whole = shifted(Uint8Array.from([0x22, ...content, 0x22]), shift)
      assert.equal(isStringContent(whole, 1, whole.length - 1), isJson(whole))
      const longer = shifted(Uint8Array.from([0x22, ...content, 0x41, 0x42, 0x43, 0x44, 0x22]), shift)
      assert.equal(isStringContent(longer, 1, longer.length - 1), isJson(longer))
    }),
    { seed, numRuns: 3000 },
  )
})

test('small answers, requests and answers of many small parts are read whole', () => {
  const many = bytesOf(
    JSON.stringify({ jsonrpc: '2.0', id: 1, result: Array.from({ length: 4000 }, (_, index) => `part ${index}`) }),
  )
  assert.equal(withoutLongStrings(many, { start: 0, end: many.length }), null)
  const request = readFrame(
    bytesOf(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'x', params: { a: 'y'.repeat(50_000) }, extra: 1 })),
  )
  assert.ok(request.kind === 'request')
  assert.equal(request.message.params?.['a'], 'y'.repeat(50_000))
})
