import assert from 'node:assert/strict'
import test from 'node:test'
import { explainTarget } from './explain.ts'

const line = { wish: 3, target: 3, ratePerMinute: 4.2, burst: 1.1, refillMs: 130.4, missProbability: 0.000_195 }

test('a target is explained by its use, or by the lack of it', () => {
  const cases: [Partial<typeof line>, string][] = [
    [{}, '4.2 sessions a minute, replaced in 130 ms; 3 keep misses below 1 in 5,100.'],
    [
      { burst: 4.26, target: 2 },
      '4.2 sessions a minute, 4.3 at a time, replaced in 130 ms; 3 keep misses below 1 in 5,100, of which there is room for 2.',
    ],
    [
      { ratePerMinute: 600, refillMs: 2345, wish: 1, target: 1 },
      '10.0 sessions a second, replaced in 2.3 s; 1 keeps misses below 1 in 5,100.',
    ],
    [{ ratePerMinute: 0.1, wish: 0, target: 0 }, 'A session every 10 minutes; too seldom to hold one warm.'],
    [{ ratePerMinute: 0.002, wish: 0, target: 0 }, 'A session every 8 hours; too seldom to hold one warm.'],
    [{ ratePerMinute: 0, wish: 2, target: 2 }, 'Nobody came lately; held because it is new.'],
    [{ ratePerMinute: 0, wish: 0, target: 0 }, 'Nobody came lately; the next session waits for a start.'],
  ]
  for (const [changes, text] of cases) assert.equal(explainTarget({ ...line, ...changes }), text)
})
