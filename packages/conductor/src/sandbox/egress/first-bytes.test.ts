import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { judgeFirstBytes } from './first-bytes.ts'

const judge = (text: string, port: number, host = 'good.test') =>
  judgeFirstBytes(Buffer.from(text, 'latin1'), { host, port }, 1024)
const denied = (text: string, port: number) => (judge(text, port) as { denied?: string }).denied

test('HTTP in a tunnel must be for the host of the tunnel', () => {
  assert.equal(judge('GET / HTTP/1.1\r\nHost: good.test\r\n\r\n', 80), 'http')
  assert.equal(judge('GET / HTTP/1.1\r\nHOST:Good.Test.:9000\r\n\r\n', 9000), 'http')
  assert.equal(judge('GET / HTTP/1.1\r\nHost: good.test\r\n\r\n', 9000), 'http')
  assert.match(denied('GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n', 80)!, /HTTP for evil\.test in a tunnel to good\.test/)
  for (const head of ['', 'Host: good.test\r\nHost: evil.test\r\n', 'Host: good.test:81\r\n', 'Host: good.test@evil.test\r\n']) {
    assert.match(denied(`GET / HTTP/1.1\r\n${head}\r\n`, 9000)!, /^denied/, head)
  }
})

test('ports that are known for a protocol carry that one only', () => {
  for (const text of ['GET / HTTP/1.1\r\nHost: good.test\r\n\r\n', 'SSH-2.0-x\r\n', '\0', 'x']) {
    assert.equal(denied(text, 443), 'denied: no TLS where TLS is expected')
    assert.equal(denied(text, 8443), 'denied: no TLS where TLS is expected')
  }
  assert.equal(denied('SSH-2.0-x\r\n', 80), 'denied: no HTTP where HTTP is expected')
  assert.equal(denied('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 80), 'denied: HTTP for nobody in a tunnel to good.test')
  assert.equal(judge('SSH-2.0-x\r\n', 22), 'other')
})

test('a head that does not end is waited for, and not for ever', () => {
  assert.equal(judge('GE', 80), 'more')
  assert.equal(judge('GET / HTTP/1.1\r\nHost: good.test\r\n', 80), 'more')
  assert.equal(denied(`GET / HTTP/1.1\r\nX: ${'x'.repeat(2000)}`, 80), 'denied: head of a request too large')
})

test('no bytes make it fail, and none but the tunnel’s own host passes as HTTP', () => {
  const part = fc.constantFrom(
    'GET ',
    'X',
    '/ ',
    'HTTP/1.1',
    '\r\n',
    '\n',
    'Host',
    ':',
    ' ',
    'good.test',
    'evil.test',
    '\0',
    '\x16\x03\x01',
  )
  fc.assert(
    fc.property(fc.array(part, { maxLength: 24 }), fc.constantFrom(80, 443, 9000), (parts, port) => {
      const text = parts.join('')
      const opening = judge(text, port)
      if (opening === 'http') assert.match(text, /host:[ ]*good\.test/i)
    }),
    { seed: Number(process.env['SEED'] ?? 20_261_127), numRuns: 3000 },
  )
})
