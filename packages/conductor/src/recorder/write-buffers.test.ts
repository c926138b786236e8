/** Goal: memory is used again, by one at a time, and what is kept is bounded. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { WriteBuffers } from './write-buffers.ts'

test('what was given back serves whoever asks for as much', () => {
  const buffers = new WriteBuffers()
  const first = buffers.take(300_000)
  assert.ok(first.length >= 300_000)
  const second = buffers.take(300_000)
  assert.notEqual(second, first)
  buffers.giveBack(first)
  assert.equal(buffers.take(270_000), first)
  assert.notEqual(buffers.take(270_000), first)
})

test('neither the odd, the huge nor more than the bound is kept', () => {
  const buffers = new WriteBuffers()
  const huge = buffers.take(5_000_000)
  assert.equal(huge.length, 5_000_000)
  buffers.giveBack(huge)
  assert.notEqual(buffers.take(5_000_000), huge)
  const odd = new Uint8Array(9_000)
  buffers.giveBack(odd)
  assert.notEqual(buffers.take(9_000), odd)
  const taken = Array.from({ length: 8 }, () => buffers.take(1_000_000))
  for (const buffer of taken) buffers.giveBack(buffer)
  const again = Array.from({ length: 8 }, () => buffers.take(1_000_000))
  assert.equal(again.filter(buffer => taken.includes(buffer)).length, 4)
})
