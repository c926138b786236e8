import assert from 'node:assert/strict'
import test from 'node:test'
import { Histogram } from './histogram.ts'

test('percentiles are of the nearest rank', () => {
  const histogram = new Histogram()
  for (let ms = 1; ms <= 100; ms++) histogram.add(ms)
  assert.equal(histogram.percentileMs(0.5), 50)
  assert.equal(histogram.percentileMs(0.95), 95)
  assert.equal(histogram.percentileMs(0.99), 99)
  assert.equal(histogram.percentileMs(1), 100)
})

test('one value is every percentile, and no value none', () => {
  const histogram = new Histogram()
  assert.ok(Number.isNaN(histogram.percentileMs(0.5)))
  histogram.add(3.3333)
  assert.equal(histogram.percentileMs(0.01), 3.33)
  assert.equal(histogram.percentileMs(0.99), 3.33)
})

test('what is written can be merged again to the same percentiles', () => {
  const [one, two, both] = [new Histogram(), new Histogram(), new Histogram()]
  for (let index = 0; index < 1000; index++) {
    const ms = ((index * 7919) % 1000) / 10
    ;(index % 2 ? one : two).add(ms)
    both.add(ms)
  }
  one.merge(two)
  assert.deepEqual(one.toJSON(), both.toJSON())
  assert.equal(one.total, 1000)
})
