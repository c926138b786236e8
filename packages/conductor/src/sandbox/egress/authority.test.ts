/**
 * Goal: a host has one spelling, and whatever another reader would take for another host is refused.
 * Method: known tricks by hand, then texts made of the characters that tricks are made of, held against the URL parser of the platform.
 * Repeat a failure with: SEED=<seed> npm test -- unit authority
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseAuthority } from './authority.ts'

const seed = Number(process.env['SEED'] ?? 20_261_127)

test('an authority is a host and a port', () => {
  assert.deepEqual(parseAuthority('Example.COM.:443'), { host: 'example.com', port: 443 })
  assert.deepEqual(parseAuthority('a_b.example:1'), { host: 'a_b.example', port: 1 })
  assert.deepEqual(parseAuthority('[2001:DB8:0:0::1]:65535'), { host: '2001:db8::1', port: 65_535 })
  assert.deepEqual(parseAuthority('1.2.3.4', 80), { host: '1.2.3.4', port: 80 })
  assert.equal(parseAuthority('example.com'), null)
})

test('what could be read in two ways is no authority', () => {
  const tricks = `a.test:0 a.test:65536 a.test:+80 a.test:080808 a.test: :443 .:443 a.test..:443 a..test:443 -a.test:443 a-.test:443
    user@a.test:443 a.test@b.test:443 a.test#b.test:443 a.test?b:443 a.test/b:443 a.test\\b.test:443 a%2etest:443 a.test%00.b.test:443
    %61.test:443 a.test:443:80 2130706433:80 0x7f000001:80 0x7f.1:80 0177.0.0.1:80 127.1:80 127.0.1:80 1.2.3.4.5:80 1.2.3.256:80
    01.2.3.4:80 0x:80 a.0x1:80 127.0.0.1.:80 [::1%25lo]:80 [fe80::1%eth0]:80 [127.0.0.1]:80 [::1:80 ::1]:80 [v1.a]:80 ⓐ.test:443
    １２７.0.0.1:80 a。test:443 a.test\u0000:443 a.test\r\n:443`
  for (const text of tricks.split(/\s+/)) {
    const target = parseAuthority(text.replaceAll('\\u0000', '\0'))
    if (text === '127.0.0.1.:80') assert.deepEqual(target, { host: '127.0.0.1', port: 80 })
    else assert.equal(target, null, text)
  }
  assert.equal(parseAuthority('a.test :443'), null)
  assert.equal(parseAuthority(`${'a.'.repeat(127)}a:443`), null)
  assert.equal(parseAuthority(`${'a'.repeat(64)}.test:443`), null)
})

test('whatever is taken, the platform’s URL parser takes for the same host', () => {
  const part = fc.constantFrom(...'abxX019.-_:[]@%/\\#?f '.split(''), '0x', '127', '::', 'xn--', 'ü', '\0', '1.2.3.4')
  const texts = fc.oneof(
    fc.array(part, { maxLength: 12 }).map(parts => `${parts.join('')}:443`),
    fc.tuple(fc.ipV4(), fc.nat(70_000)).map(([host, port]) => `${host}:${port}`),
    fc.ipV6().map(host => `[${host}]:443`),
    fc.domain().map(host => `${host}:443`),
  )
  fc.assert(
    fc.property(texts, text => {
      const target = parseAuthority(text)
      if (target === null) return
      // The parser of URLs knows more of IDNA than we ask of a name; where it refuses, nobody is misled.
      if (!URL.canParse(`https://${text}`)) return
      const url = new URL(`https://${text}`)
      assert.equal(target.host, url.hostname.replace(/^\[|\]$/g, '').replace(/\.$/, ''))
      assert.equal(target.port, Number(url.port || 443))
    }),
    { seed, numRuns: 2000 },
  )
})
