/** Goal: where the chunks of an event stream are cut makes no difference, and no bytes make the reader grow without end. */
import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { EventReader, type ReadEvent } from './event-reader.ts'

const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31)

function read(chunks: readonly Uint8Array[], bytesMax = 10_000) {
  const events: { id: string | null; type: string; data: string; retryMs: number | null }[] = []
  const reader = new EventReader(bytesMax, (event: ReadEvent) =>
    events.push({ ...event, data: Buffer.from(event.data).toString() }),
  )
  for (const chunk of chunks) reader.push(Buffer.from(chunk))
  return events
}
const whole = (text: string) => read([Buffer.from(text)])

test('fields, comments, several data lines and all line ends are read as the standard says', () => {
  assert.deepEqual(whole(': hello\nid: 1\nevent: message\nretry: 20\ndata: a\ndata:b\ndata\n\n'), [
    { id: '1', type: 'message', data: 'a\nb\n', retryMs: 20 },
  ])
  assert.deepEqual(
    whole('data: a\r\n\r\ndata: b\r\rx').map(event => event.data),
    ['a', 'b'],
  )
  assert.deepEqual(whole('id: 7\ndata: \n\n'), [{ id: '7', type: '', data: '', retryMs: null }])
  assert.deepEqual(whole('data: cut off'), [])
})

test('however a stream is cut into chunks, the events are the same', () => {
  const line = fc.constantFrom('data: é', 'data:  x', 'id: 3', ': c', 'event: e', '', '', 'retry: 5', 'other')
  const text = fc.array(fc.tuple(line, fc.constantFrom('\n', '\r\n')), { maxLength: 30 }).map(lines => lines.flat().join(''))
  fc.assert(
    fc.property(text, fc.array(fc.nat(200)), (text, cuts) => {
      const bytes = Buffer.from(text)
      const at = [0, ...cuts.filter(cut => cut < bytes.length).sort((a, b) => a - b), bytes.length]
      const chunks = at.slice(1).map((end, index) => bytes.subarray(at[index], end))
      assert.deepEqual(read(chunks), read([bytes]))
    }),
    { seed },
  )
})

test('an event without end is refused', () => {
  assert.throws(
    () =>
      read(
        Array.from({ length: 100 }, () => Buffer.from('data: 1234567890\n')),
        500,
      ),
    RangeError,
  )
  assert.throws(
    () =>
      read(
        Array.from({ length: 100 }, () => Buffer.from('1234567890')),
        500,
      ),
    RangeError,
  )
})
