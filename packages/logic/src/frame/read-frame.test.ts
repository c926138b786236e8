/**
 * Goal: no bytes make the reader throw, and what it calls a frame means the same to every other parser.
 * Method: table cases for each rule; generated messages; random bytes and damaged messages.
 * Replay a failure with SEED=<seed>.
 */
import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { type Frame, type FrameFault, readFrame } from './read-frame.ts'

const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31)
const bytesOf = (text: string) => new TextEncoder().encode(text)
const read = (text: string) => readFrame(bytesOf(text))

function frame(text: string): Frame {
  const read = readFrame(bytesOf(text))
  if (read.kind === 'fault') assert.fail(`${read.code}: ${read.message} SEED=${seed}`)
  return read
}

function fault(text: string): FrameFault {
  const read = readFrame(bytesOf(text))
  if (read.kind !== 'fault') assert.fail(`read as ${read.kind}: ${text}`)
  return read
}

test('a call is read with its id, tool and progress token', () => {
  const call = frame(
    '{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo","arguments":{"name":"no"},"_meta":{"progressToken":"p"}}}',
  )
  assert.equal(call.kind, 'request')
  assert.equal(call.id, 7)
  assert.equal(call.idKey, '7')
  assert.equal(call.method, 'tools/call')
  assert.equal(call.name, 'echo')
  assert.equal(call.progressKey, '"p')
})

test('the number 1 and the string "1" are different ids', () => {
  assert.notEqual(
    frame('{"jsonrpc":"2.0","id":1,"method":"ping"}').idKey,
    frame('{"jsonrpc":"2.0","id":"1","method":"ping"}').idKey,
  )
})

test('an id beyond 2^53 keeps all its digits', () => {
  const big = frame('{"jsonrpc":"2.0","id":9007199254740993,"method":"ping"}')
  assert.equal(big.idKey, '9007199254740993')
  assert.notEqual(big.idKey, frame('{"jsonrpc":"2.0","id":9007199254740992,"method":"ping"}').idKey)
})

test('an escaped id is the same as the plain one', () => {
  assert.equal(
    frame('{"jsonrpc":"2.0","id":"\\u0061","method":"ping"}').idKey,
    frame('{"jsonrpc":"2.0","id":"a","method":"ping"}').idKey,
  )
})

test('what is not JSON in UTF-8 is malformed', () => {
  for (const text of [
    '',
    ' ',
    '{',
    '{"jsonrpc":"2.0"',
    'nonsense',
    '{"jsonrpc":"2.0",}',
    '{"a":1}x',
    '\u{feff}{}',
    '{"jsonrpc":"2.0" "id":1}',
  ]) {
    assert.equal(fault(text).code, 'frame_malformed', text)
  }
  assert.equal((readFrame(Uint8Array.of(0x22, 0xff, 0x22)) as FrameFault).code, 'frame_malformed')
  const overlong = Uint8Array.from([...bytesOf('{"jsonrpc":"2.0","id":1,"method":"'), 0xc0, 0xae, ...bytesOf('"}')])
  assert.equal((readFrame(overlong) as FrameFault).code, 'frame_malformed')
})

test('JSON that is no message is invalid', () => {
  for (const text of [
    '1',
    'null',
    '"text"',
    '[]',
    '{}',
    '{"jsonrpc":"1.0","id":1,"method":"ping"}',
    '{"id":1,"method":"ping"}',
    '{"jsonrpc":"2.0","id":null,"method":"ping"}',
    '{"jsonrpc":"2.0","id":1.5,"method":"ping"}',
    '{"jsonrpc":"2.0","id":1e400,"method":"ping"}',
    '{"jsonrpc":"2.0","id":{},"method":"ping"}',
    '{"jsonrpc":"2.0","id":[1],"method":"ping"}',
    '{"jsonrpc":"2.0","id":true,"method":"ping"}',
    '{"jsonrpc":"2.0","id":1,"method":7}',
    '{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}',
    '{"jsonrpc":"2.0","id":1,"method":"ping","params":null}',
    '{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}',
    '{"jsonrpc":"2.0","id":1}',
    '{"jsonrpc":"2.0","id":1,"result":{},"error":{}}',
    '{"jsonrpc":"2.0","id":null,"result":{}}',
    '{"jsonrpc":"2.0","result":{}}',
  ]) {
    assert.equal(fault(text).code, 'frame_invalid', text)
  }
})

test('an error answer without a readable id is a frame, as JSON-RPC allows', () => {
  assert.equal(frame('{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"?"}}').idKey, null)
  assert.equal(frame('{"jsonrpc":"2.0","error":{"code":-32700,"message":"?"}}').kind, 'response')
})

test('a fault names the request it is about, where that is sure', () => {
  assert.equal(fault('{"jsonrpc":"2.0","id":"a","method":7}').id, 'a')
})

test('what two parsers could read differently is refused', () => {
  for (const text of [
    '{"jsonrpc":"2.0","id":1,"method":"a","method":"b"}',
    '{"jsonrpc":"2.0","id":1,"method":"a","m\\u0065thod":"b"}',
    '{"jsonrpc":"2.0","id":1,"method":"a","Method":"b"}',
    '{"jsonrpc":"2.0","id":1,"id":2,"method":"a"}',
    '{"jsonrpc":"2.0","id":1,"method":"a","x":1,"x":2}',
    '{"jsonrpc":"2.0","id":1,"method":"a","param\u017f":{}}',
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","name":"b"}}',
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","NAME":"b"}}',
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","n\\u0061me":"b"}}',
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{},"arguments":{}}}',
    '{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"a","uri":"b"}}',
    '{"jsonrpc":"2.0","id":1,"result":{},"result":{}}',
  ]) {
    assert.equal(fault(text).code, 'frame_invalid', text)
  }
})

test('doubled keys deeper in the payload pass: they are the tool’s to judge', () => {
  frame('{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"x":1,"x":2,"X":3}}}')
})

test('deep and wide messages are refused before anything is built from them', () => {
  for (const text of [
    `{"jsonrpc":"2.0","id":1,"method":"a","params":{"x":${'['.repeat(300)}${']'.repeat(300)}}}`,
    '['.repeat(1_000_000),
    `{"a":${'{"a":'.repeat(500_000)}`,
    `{"jsonrpc":"2.0",${Array.from({ length: 2000 }, (_, index) => `"k${index}":1`).join(',')}}`,
  ]) {
    assert.equal(fault(text).code, 'frame_invalid')
  }
  frame(`{"jsonrpc":"2.0","id":1,"method":"a","params":{"x":${'['.repeat(200)}${']'.repeat(200)}}}`)
})

test('a pretty-printed message becomes one line of the same length', () => {
  const text = '{\r\n  "jsonrpc": "2.0",\n  "id": 1,\n  "method": "a\\nb"\n}\n'
  const pretty = frame(text)
  assert.equal(pretty.bytes.length, text.length)
  assert.equal(pretty.bytes.indexOf(0x0a), -1)
  assert.equal(pretty.bytes.indexOf(0x0d), -1)
  assert.equal(pretty.method, 'a\nb')
})

test('a tool result with isError counts as an error, as does a JSON-RPC error', () => {
  assert.equal(frame('{"jsonrpc":"2.0","id":1,"result":{"isError":true,"content":[]}}').isError, true)
  assert.equal(frame('{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"x"}}').isError, true)
  assert.equal(frame('{"jsonrpc":"2.0","id":1,"result":{}}').isError, false)
})

const key = fc.string().filter(key => !['name', 'uri', '_meta', 'arguments', '__proto__'].includes(key.toLowerCase()))
const params = fc.dictionary(key, fc.jsonValue({ maxDepth: 3 }), { maxKeys: 5 })
const id = fc.oneof(
  fc.string({ unit: 'binary' }).filter(text => text.isWellFormed()),
  fc.maxSafeInteger(),
)

test('any message written by JSON.stringify is read for what it is, at any indentation', () => {
  fc.assert(
    fc.property(id, fc.string(), fc.string(), params, fc.constantFrom(0, 1, 3), (id, method, name, rest, indent) => {
      const message = { jsonrpc: '2.0', method: `x/${method}`, params: { ...rest, name }, id }
      const read = frame(JSON.stringify(message, null, indent))
      assert.equal(read.id, id)
      assert.equal(read.method, message.method)
      assert.equal(read.name, name)
      const span = read.idSpan
      assert.ok(span)
      assert.deepEqual(JSON.parse(new TextDecoder().decode(read.bytes.subarray(span.start, span.end))), id)
      for (const member of read.members) {
        const text = new TextDecoder().decode(read.bytes.subarray(member.start, member.end))
        assert.deepEqual(JSON.parse(text), JSON.parse(JSON.stringify(message[member.key as 'id'])))
      }
    }),
    { seed },
  )
})

test('random and damaged bytes never make the reader throw, and a frame is always valid JSON', () => {
  const whole = bytesOf(
    '{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"a\\"b","arguments":{"a":[1,{"b":"é"}]}}}',
  )
  const damaged = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 4 }).map(hits => {
    const bytes = whole.slice()
    for (const [at, byte] of hits) bytes[at] = byte
    return bytes
  })
  const cut = fc.nat(whole.length).map(end => whole.slice(0, end))
  const punctuation = fc.array(fc.constantFrom(...'{}[],:"\\ \n1a'), { maxLength: 60 }).map(parts => bytesOf(parts.join('')))
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), damaged, cut, punctuation), bytes => {
      const read = readFrame(bytes)
      if (read.kind === 'fault') return
      const message = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
      assert.equal(message.jsonrpc, '2.0')
      assert.equal(new Set(read.members.map(member => member.key)).size, read.members.length)
    }),
    { seed, numRuns: 3000 },
  )
})

test('a reader never disagrees with JSON.parse on what the message is', () => {
  const escapes = fc.constantFrom('\\"', '\\\\', '\\u0041', 'é', '😀', '{', '}', '[', ']', ',', ':', '\\n', 'a'.repeat(40))
  const string = fc.array(escapes, { maxLength: 12 }).map(parts => `"${parts.join('')}"`)
  fc.assert(
    fc.property(string, string, string, (id, method, value) => {
      const text = `{"jsonrpc":"2.0","params":{"v":${value}, "name" : ${value} },"id":${id},"method":${method}}`
      const read = frame(text)
      const message = JSON.parse(text)
      assert.equal(read.id, message.id)
      assert.equal(read.method, message.method)
      assert.equal(read.name, message.params.name)
    }),
    { seed },
  )
})

test('reading the same bytes twice gives the same', () => {
  const text = '{"jsonrpc":"2.0","id":1,"method":"ping"}'
  assert.deepEqual(read(text), read(text))
})
