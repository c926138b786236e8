import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { canonicalText, parseFrame, parseJson } from './canonical.ts'
import { frameDifferences } from './diverge.ts'

const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31)
const bytesOf = (text: string) => new TextEncoder().encode(text)
const canonical = (text: string) => {
  const value = parseJson(text)
  return value === undefined ? undefined : canonicalText(value)
}

test('the example of RFC 8785 comes out as the RFC prints it', () => {
  const source = `{
    "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
    "string": "\\u20ac$\\u000F\\u000aA'\\u0042\\u0022\\u005c\\\\\\"\\/",
    "literals": [null, true, false]
  }`
  // 333333333.33333329 is not the shortest text of its double; we keep digits that a double would drop.
  const expected = `{"literals":[null,true,false],"numbers":[33333333333333329e-8,1e+30,4.5,0.002,1e-27],"string":"€$\\u000f\\nA'B\\"\\\\\\\\\\"/"}`
  assert.equal(canonical(source), expected)
})

test('members are sorted by UTF-16 code units', () => {
  assert.equal(
    canonical('{"\\u20ac":1,"\\r":2,"\\ufb33":3,"1":4,"\\ud83d\\ude00":5,"\\u0080":6,"\\u00f6":7}'),
    '{"\\r":2,"1":4,"\u0080":6,"ö":7,"€":1,"😀":5,"\ufb33":3}',
  )
})

test('numbers are the same when their decimals are, beyond what a double holds', () => {
  const same = (a: string, b: string) => frameDifferences(bytesOf(`[${a}]`), bytesOf(`[${b}]`), 1).length === 0
  assert.ok(same('1.0', '1'))
  assert.ok(same('100', '1e2'))
  assert.ok(same('-0', '0'))
  assert.ok(same('9007199254740993', '9007199254740993.0'))
  assert.ok(!same('9007199254740993', '9007199254740992'))
  assert.ok(!same('0.1', '0.1000000000000000055511151231257827'))
  assert.ok(!same('1e400', '1e401'))
  assert.ok(!same('1e400', '-1e400'))
  assert.ok(!same('1e99999999999999999', '1e99999999999999998'))
})

test('JSON in a text member is compared as JSON, elsewhere as text', () => {
  const differ = (a: unknown, b: unknown) => frameDifferences(bytesOf(JSON.stringify(a)), bytesOf(JSON.stringify(b)), 5)
  assert.deepEqual(differ({ text: '{"a":1,"b":2}' }, { text: '{ "b":2, "a":1 }' }), [])
  assert.deepEqual(differ({ text: '{"a":1}' }, { text: '{"a":2}' }), [{ pointer: '/text/a', recorded: 1, replayed: 2 }])
  assert.equal(differ({ uri: '{"a":1}' }, { uri: '{"a": 1}' }).length, 1)
  assert.equal(differ({ text: '{"a":1}' }, { text: { a: 1 } }).length, 1)
  assert.equal(differ({ text: '1.0' }, { text: '1' }).length, 1)
})

test('what is no I-JSON is compared byte by byte', () => {
  for (const text of [
    '{"a":1,"a":1}',
    '{"a":1',
    'nul',
    '01',
    '[1,]',
    '"\\x"',
    '"\n"',
    '',
    `${'['.repeat(5000)}${']'.repeat(5000)}`,
  ]) {
    assert.equal(parseJson(text), undefined, text.slice(0, 20))
    assert.deepEqual(frameDifferences(bytesOf(text), bytesOf(text), 1), [])
    assert.equal(frameDifferences(bytesOf(text), bytesOf(`${text} `), 1)[0]?.pointer, '')
  }
  assert.equal(parseFrame(Uint8Array.of(0x22, 0xff, 0x22)), undefined)
})

test('a member named __proto__ is a member', () => {
  const [difference] = frameDifferences(bytesOf('{"__proto__":{"a":1}}'), bytesOf('{"__proto__":{"a":2}}'), 1)
  assert.deepEqual(difference, { pointer: '/__proto__/a', recorded: 1, replayed: 2 })
})

test('pointers escape as RFC 6901 says, and long values are cut', () => {
  const [difference] = frameDifferences(bytesOf('{"a/b~c":1}'), bytesOf(JSON.stringify({ 'a/b~c': 'x'.repeat(5000) })), 1)
  assert.equal(difference?.pointer, '/a~1b~0c')
  assert.ok(String(difference?.replayed).length < 2100)
})

test('any JSON reads as JSON.parse reads it, however it is spaced and ordered', () => {
  // -0 is 0 in canonical JSON, and a `text` member may hold JSON.
  const json = fc.jsonValue({ maxDepth: 4 }).map(value => JSON.parse(JSON.stringify(value).replaceAll('"text"', '"t"')))
  fc.assert(
    fc.property(json, value => {
      const compact = parseJson(JSON.stringify(value))
      assert.ok(compact !== undefined)
      assert.deepEqual(JSON.parse(canonicalText(compact)), JSON.parse(JSON.stringify(value)))
      assert.deepEqual(frameDifferences(bytesOf(JSON.stringify(value)), bytesOf(JSON.stringify(value, null, 2)), 1), [])
    }),
    { seed },
  )
})

test('any text at all is read or refused', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), fc.nat(), (text, at) => {
      const broken = text.slice(0, at % (text.length + 1))
      const ours = parseJson(broken)
      let theirs: boolean
      try {
        JSON.parse(broken)
        theirs = true
      } catch {
        theirs = false
      }
      // Ours is stricter only about doubled keys, which fc.json does not make.
      assert.equal(ours !== undefined, theirs, broken)
    }),
    { seed, numRuns: 500 },
  )
})
