/** Goal: a body is read once, whole or not at all, however slowly or brokenly it comes. */
import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import { PassThrough } from 'node:stream'
import test from 'node:test'
import type { ConductorError } from '@maestro/contract'
import { until } from '../session/fake-stages.ts'
import { bodyMsMax, readBody } from './read-body.ts'
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

function reading(headers: Record<string, string> = {}) {
  const stream = Object.assign(new PassThrough(), { headers })
  const time = clock()
  const done: { error: ConductorError | null; body: Uint8Array }[] = []
  readBody(stream as unknown as IncomingMessage, 10, time.ticker, (error, body) => done.push({ error, body }))
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
