import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { type ServerSentEvent, serverSentEvents } from './server-sent-events.ts'

const seed = Number(process.env['SEED'] ?? 20_261_122)

async function eventsOf(...chunks: (string | Uint8Array)[]) {
  async function* body() {
    for (const chunk of chunks) yield typeof chunk === 'string' ? Buffer.from(chunk) : chunk
  }
  const events: ServerSentEvent[] = []
  for await (const event of serverSentEvents(body())) events.push(event)
  return events
}

test('fields, comments, line breaks of every kind and an unfinished end', async () => {
  assert.deepEqual(await eventsOf(': hello\n\nid: 1\r\ndata: a\r\ndata:b\r\rdata\nretry: 50\nretry: x\n\n', 'data: cut off'), [
    { id: '1', data: 'a\nb', retryMs: null },
    { id: null, data: '', retryMs: 50 },
  ])
})

test('it does not matter where a stream is cut into chunks', async () => {
  const text = 'id: ü1\r\ndata: {"smile":"😀"}\r\n\r\n: x\r\rdata: two\n\ndata: 三\r\n\n'
  const bytes = Buffer.from(text)
  const whole = await eventsOf(text)
  assert.equal(whole.length, 3)
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(bytes.length), { maxLength: 12 }), async cuts => {
      const at = [0, ...cuts.sort((a, b) => a - b), bytes.length]
      const chunks = at.slice(1).map((end, index) => bytes.subarray(at[index], end))
      assert.deepEqual(await eventsOf(...chunks), whole)
    }),
    { seed },
  )
})
