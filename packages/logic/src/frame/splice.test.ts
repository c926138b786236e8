/**
 * Goal: an edit changes what it names and no other byte.
 * Method: generated objects with doubled keys, big integers and lone surrogates; compare with a model.
 * Replay a failure with SEED=<seed>.
 */
import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { itemsOf, membersOf } from './scan.ts'
import { editObject, removeParts, replaceValue, splice } from './splice.ts'
import { splitBatch } from './split-batch.ts'

const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31)
const bytesOf = (text: string) => new TextEncoder().encode(text)
const textOf = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
const edited = (text: string, changes: Parameters<typeof editObject>[2]) =>
  textOf(splice(bytesOf(text), editObject(bytesOf(text), text.indexOf('{'), changes)))

test('a member is replaced in place, and added at the end where it was not', () => {
  assert.equal(edited('{ "a" : 1, "b":2 }', { set: { b: '3', c: '"x"' } }), '{ "a" : 1, "b":3,"c":"x" }')
  assert.equal(edited('{}', { set: { a: '1', b: '2' } }), '{"a":1,"b":2}')
})

test('members are removed with one comma each, wherever they are', () => {
  const remove = (...keys: string[]) => ({ remove: (key: string) => keys.includes(key) })
  assert.equal(edited('{"a":1,"b":2,"c":3}', remove('a')), '{"b":2,"c":3}')
  assert.equal(edited('{"a":1,"b":2,"c":3}', remove('b')), '{"a":1,"c":3}')
  assert.equal(edited('{"a":1,"b":2,"c":3}', remove('c')), '{"a":1,"b":2}')
  assert.equal(edited('{"a":1,"b":2,"c":3}', remove('a', 'b', 'c')), '{}')
  assert.equal(edited('{"a":1,"b":2}', { ...remove('a', 'b'), set: { c: '3' } }), '{"c":3}')
})

test('big integers, doubled keys and lone surrogates around an edit survive', () => {
  const text = '{"n":12345678901234567890.000,"n":1e999,"s":"\\ud800","x":0}'
  assert.equal(edited(text, { set: { x: '1' } }), text.replace('"x":0', '"x":1'))
})

const value = fc.oneof(
  fc.json({ maxDepth: 2 }),
  fc.constantFrom('123456789012345678901234567890', '"\\ud800"', '[ 1 , 2 ]', '{"a":1,"a":2}', '"a\\\\\\""', '-0.0'),
)
const space = fc.constantFrom('', ' ', '  ', '\t')
const objectText = fc
  .tuple(fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c', 'd', 'é'), value, space), { maxLength: 6 }), space)
  .map(
    ([members, inner]) =>
      `{${inner}${members.map(([key, value, space]) => `"${key}"${space}:${space}${value}${space}`).join(`,${inner}`)}}`,
  )

test('any edit of any object equals the same edit of its list of members', () => {
  fc.assert(
    fc.property(
      objectText,
      fc.subarray(['a', 'b', 'c', 'é']),
      fc.dictionary(
        fc.constantFrom('a', 'b', 'z'),
        fc.jsonValue().map(value => JSON.stringify(value)),
      ),
      (text, removed, set) => {
        const bytes = bytesOf(text)
        const pairs = (bytes: Uint8Array) => {
          const members = membersOf(bytes, 0)
          assert.notEqual(typeof members, 'string')
          return (members as Exclude<typeof members, string>).map(({ key, start, end }) => [
            key,
            textOf(bytes.subarray(start, end)),
          ])
        }
        const expected = pairs(bytes)
          .filter(([key]) => Object.hasOwn(set, key as string) || !removed.includes(key as string))
          .map(([key, value]) => [key, set[key as string] ?? value])
        const present = new Set(expected.map(([key]) => key))
        for (const [key, value] of Object.entries(set)) if (!present.has(key)) expected.push([key, value])
        const result = splice(bytes, editObject(bytes, 0, { remove: key => removed.includes(key), set }))
        JSON.parse(textOf(result))
        assert.deepEqual(pairs(result), expected)
      },
    ),
    { seed, numRuns: 1000 },
  )
})

test('items taken out of any array leave the others byte for byte', () => {
  fc.assert(
    fc.property(fc.array(value), fc.array(fc.boolean()), space, (items, mask, space) => {
      const bytes = bytesOf(`[${space}${items.join(`${space},${space}`)}${space}]`)
      const spans = itemsOf(bytes, 0)
      assert.ok(typeof spans !== 'string')
      assert.equal(spans.length, items.length)
      const result = splice(
        bytes,
        removeParts(spans, index => mask[index] === true),
      )
      const left = itemsOf(result, 0)
      assert.ok(typeof left !== 'string')
      JSON.parse(textOf(result))
      assert.deepEqual(
        left.map(({ start, end }) => textOf(result.subarray(start, end))),
        items.filter((_, index) => mask[index] !== true),
      )
    }),
    { seed },
  )
})

test('edits that overlap are a mistake of ours', () => {
  const bytes = bytesOf('123456')
  assert.throws(
    () => splice(bytes, [replaceValue({ start: 0, end: 3 }, 'a'), replaceValue({ start: 2, end: 4 }, 'b')]),
    /invariant/,
  )
})

test('a batch is split byte for byte, and what is no batch is refused', () => {
  const parts = splitBatch(bytesOf(' [ {"a":1} , {"b":[2,3]}] '))
  assert.ok(Array.isArray(parts))
  assert.deepEqual(parts.map(textOf), ['{"a":1}', '{"b":[2,3]}'])
  const code = (text: string) => {
    const split = splitBatch(bytesOf(text))
    return Array.isArray(split) ? 'split' : split.code
  }
  assert.equal(code('[]'), 'frame_invalid')
  assert.equal(code('[1,'), 'frame_malformed')
  assert.equal(code(`[${'1,'.repeat(200)}1]`), 'frame_invalid')
  assert.equal(code('['.repeat(5000)), 'frame_invalid')
})
