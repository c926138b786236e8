import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { AllowList } from './allow-list.ts'
import { parseAuthority } from './authority.ts'

describe('the allow-list', () => {
  /** As the proxy asks: by what stands in a request. */
  const allows = (entry: string, authority: string) => {
    const target = parseAuthority(authority)
    return target !== null && new AllowList([entry]).allows(target)
  }

  it('takes a name for itself on the usual ports', () => {
    assert.ok(allows('api.example.com', 'API.example.com.:443'))
    assert.ok(allows('API.Example.com.', 'api.example.com:80'))
    assert.ok(!allows('api.example.com', 'api.example.com:22'))
    assert.ok(!allows('api.example.com', 'x.api.example.com:443'))
    assert.ok(!allows('api.example.com', 'api.example.com.evil.test:443'))
    assert.ok(!allows('api.example.com', 'apixexample.com:443'))
  })

  it('takes a wildcard for every name below, not for the name', () => {
    assert.ok(allows('*.example.com', 'a.b.example.com:443'))
    assert.ok(!allows('*.example.com', 'example.com:443'))
    assert.ok(!allows('*.example.com', 'evilexample.com:443'))
  })

  it('takes a port for that port alone', () => {
    assert.ok(allows('db.example.com:5432', 'db.example.com:5432'))
    assert.ok(!allows('db.example.com:5432', 'db.example.com:443'))
    assert.ok(allows('*.example.com:8443', 'a.example.com:8443'))
  })

  it('takes names of any script for what they are in DNS', () => {
    assert.ok(allows('bücher.example', 'xn--bcher-kva.example:443'))
    assert.ok(allows('*.BÜCHER.example', 'a.xn--bcher-kva.example:443'))
    assert.ok(!allows('bücher.example', 'bucher.example:443'))
    // The first letter of the entry is Cyrillic.
    assert.ok(!allows('аpple.example', 'apple.example:443'))
  })

  it('takes addresses only where they are listed as such, in their own form', () => {
    assert.ok(allows('192.0.2.7', '192.0.2.7:443'))
    assert.ok(allows('[2001:db8::7]:8443', '[2001:0DB8:0::7]:8443'))
    assert.ok(allows('2001:db8::7', '[2001:db8::7]:443'))
    assert.ok(!allows('*.0.2.7', '192.0.2.7:443'))
    assert.ok(!allows('*.7', '192.0.2.7:443'))
    for (const odd of ['3221225991:443', '0xC0000207:443', '0300.0.2.7:443', '192.0.519:443', '[::ffff:192.0.2.7]:443']) {
      assert.ok(!allows('192.0.2.7', odd), odd)
    }
    for (const odd of ['3221225991', '0xC0000207', '0300.0.2.7', '192.0.519']) assert.ok(!allows(odd, '192.0.2.7:443'), odd)
  })

  it('takes what is no host for nothing', () => {
    for (const entry of [
      '',
      '*',
      '*.',
      '.',
      '*.*.com',
      'a..b',
      'http://a.test',
      'a.test/path',
      'u@a.test',
      'a.test:x',
      '[fe80::1%1]',
      '[a.test]',
    ]) {
      for (const host of ['a.test', 'x.com', 'a', 'http']) assert.ok(!allows(entry, `${host}:443`), `${entry} ${host}`)
    }
  })
})
