import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { maskFields } from './mask-named.ts'

/** JSON in a text of JSON, so many times over. */
const nested = (value: unknown, times: number): string =>
  times === 0 ? JSON.stringify(value) : JSON.stringify({ inner: nested(value, times - 1), after: 1 })

describe('what is named like a secret', () => {
  for (const times of [0, 1, 2, 3, 4]) {
    it(`is masked in JSON ${times} deep in texts, and nothing else is`, () => {
      const text = nested({ id: 'plain', api_key: 'se"cr\\et', name: 'seen "too"', list: [{ password: '' }] }, times)
      const shown = nested({ id: 'plain', api_key: '[masked]', name: 'seen "too"', list: [{ password: '[masked]' }] }, times)
      assert.equal(maskFields(text), shown)
    })
  }

  it('is masked to the end where the text was cut off in it', () => {
    const whole = nested({ name: 'seen', token: 'abcdefgh' }, 1)
    const cut = whole.slice(0, whole.indexOf('efgh'))
    assert.equal(maskFields(cut), `${cut.slice(0, cut.indexOf('abcd'))}[masked]`)
  })

  it('is looked for in time that grows with the text only', () => {
    const hostile = ['\\', '\\"', '\\"token\\":\\"', '\\"token\\" ', '"token":"', '\\\\"a\\\\":\\\\"']
    for (const part of hostile) {
      const text = part.repeat(Math.ceil((1024 * 1024) / part.length))
      const began = performance.now()
      maskFields(text)
      assert.ok(performance.now() - began < 2_000, JSON.stringify(part))
    }
  })
})
