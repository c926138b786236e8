/** Goal: a body is read once, whole or not at all, however slowly or brokenly it comes. */
import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import { PassThrough } from 'node:stream'
import test from 'node:test'
import type { ConductorError } from '@maestro/contract'
import { until } from '../session/fake-stages.ts'
import { Arrivals, bodyMsMax, readBody } from './read-body.ts'
import type { Ticker, Ticking } from './ticker.ts'

function clock() {
  let nowMs = 0
  const items = new Set<Ticking>()
  const ticker: Ticker = { add: item => void items.add(item), delete: item => void items.delete(item), nowMs: () => nowMs }
  return {
    ticker,
    items,
    advance(ms: number) {
      nowMs += ms
      for (const item of items) item.tick(nowMs)
    },
  }
}

function reading(headers: Record<string, string> = {}, arrivals = new Arrivals(1000), bytesMax = 10) {
  const stream = Object.assign(new PassThrough(), { headers })
  const time = clock()
  const done: { error: ConductorError | null; body: Uint8Array }[] = []
  const { ticker } = time
  readBody(stream as unknown as IncomingMessage, bytesMax, { ticker, arrivals }, (error, body) => done.push({ error, body }))
  return { stream, time, done }
}

test('one chunk is handed over as it is, several as one', async () => {
  const one = reading()
  const chunk = Buffer.from('abc')
  one.stream.end(chunk)
  await until(() => one.done.length === 1, 'it is read')
  assert.equal(one.done[0]?.body, chunk)
  const two = reading()
  two.stream.write('abc')
  two.stream.end('de')
  await until(() => two.done.length === 1, 'it is read')
  assert.equal(Buffer.from(two.done[0]?.body ?? []).toString(), 'abcde')
  assert.equal(two.time.items.size, 0)
})

test('a body that drips is given up in time', async () => {
  const { stream, time, done } = reading()
  time.advance(bodyMsMax)
  assert.equal(done.length, 0)
  time.advance(1)
  assert.equal(done[0]?.error?.code, 'request_malformed')
  stream.end('b')
  assert.equal(time.items.size, 0)
  assert.equal(done.length, 1)
})

test('a body announced as too large is not read, and one that turns out so is cut', async () => {
  const announced = reading({ 'content-length': '11' })
  assert.equal(announced.done[0]?.error?.code, 'frame_too_large')
  const grown = reading()
  grown.stream.write('123456')
  grown.stream.write('123456')
  await until(() => grown.done.length === 1, 'it is cut')
  assert.equal(grown.done[0]?.error?.code, 'frame_too_large')
})

test('a client that goes away is not called back for, and nothing watches on', async () => {
  const { stream, time, done } = reading()
  assert.equal(time.items.size, 1, 'it is watched from the start')
  stream.destroy()
  await until(() => time.items.size === 0, 'it is forgotten')
  assert.equal(done.length, 0)
})

test('where too much is on its way the body that took longest is given up, and its memory with it', async () => {
  const arrivals = new Arrivals(10)
  const [first, second, third] = [reading({}, arrivals), reading({}, arrivals), reading({}, arrivals)]
  first.stream.write('abcd')
  second.stream.write('abcd')
  await until(() => arrivals.bytes === 8, 'both began')
  third.stream.end('abcd')
  await until(() => third.done.length === 1, 'the third is read')
  assert.equal(third.done[0]?.error, null)
  assert.equal(first.done[0]?.error?.code, 'session_overloaded')
  assert.equal(second.done.length, 0)
  second.stream.end('ef')
  await until(() => second.done.length === 1, 'the second is read')
  assert.equal(Buffer.from(second.done[0]?.body ?? []).toString(), 'abcdef')
  assert.equal(arrivals.bytes, 0)
})

test('a body of very many chunks is as long as its bytes', async () => {
  const arrivals = new Arrivals(1024 * 1024)
  const { stream, done } = reading({}, arrivals, 300_000)
  const bytes = Buffer.from(Array.from({ length: 200_000 }, (_, index) => index % 251))
  let largest = 0
  for (let at = 0; at < bytes.length; at += 10) {
    if (!stream.write(bytes.subarray(at, at + 10))) await new Promise(resolve => setImmediate(resolve))
    largest = Math.max(largest, arrivals.bytes)
  }
  stream.end()
  await until(() => done.length === 1, 'it is read')
  assert.deepEqual(Buffer.from(done[0]?.body ?? []), bytes)
  assert.ok(largest <= 300_000, `${largest} bytes`)
})
