import assert from 'node:assert/strict'
import test from 'node:test'
import { headerValue } from './request-headers.ts'

test('only plain visible text stands in a header as it is', () => {
  assert.equal(headerValue('tools/call'), 'tools/call')
  assert.equal(headerValue('a b'), 'a b')
  for (const text of [' a', 'a ', 'ü', 'a\nb', '', '=?base64?YQ==?=']) {
    const value = headerValue(text)
    assert.match(value, /^=\?base64\?[A-Za-z0-9+/=]*\?=$/)
    assert.equal(Buffer.from(value.slice(9, -2), 'base64').toString(), text)
  }
})
