import assert from 'node:assert/strict'
import test from 'node:test'
import { maskValues } from './mask-values.ts'

const pem = '-----BEGIN KEY-----\nabc"def\\ghi\n-----END KEY-----\n'
const mask = maskValues({ PEM: pem, TOKEN: 'sk-0123456789', LONGER: 'sk-0123456789-and-more', LEVEL: 'debug' })

test('values are masked by their name, the longest first, and words are left alone', () => {
  assert.equal(mask('debug sk-0123456789 sk-0123456789-and-more'), 'debug [TOKEN] [LONGER]')
})

test('a value of several lines is masked as it is, in JSON, and in JSON in a text of JSON', () => {
  assert.equal(mask(`<${pem}>`), '<[PEM]>')
  assert.equal(mask(JSON.stringify({ pem })), '{"pem":"[PEM]"}')
  assert.equal(mask(JSON.stringify({ inner: JSON.stringify({ pem }) })), JSON.stringify({ inner: '{"pem":"[PEM]"}' }))
})
