import assert from 'node:assert/strict'
import test from 'node:test'
import { readResolution } from './read-resolution.ts'

const item = (more: object = {}) => ({
  is_direct: false,
  metadata: { name: 'plain', version: '1.0' },
  download_info: { url: 'https://example.test/plain.whl', archive_info: { hashes: { sha256: 'a'.repeat(64) } } },
  ...more,
})
const read = (...items: unknown[]) => readResolution(JSON.stringify({ version: '1', install: items }))

test('what pip chose is read with its checksums, also as older versions of pip write them', () => {
  const old = { download_info: { archive_info: { hash: `sha256=${'b'.repeat(64)}` } } }
  assert.deepEqual(read(item(), item(old)), [
    { name: 'plain', version: '1.0', sha256: 'a'.repeat(64) },
    { name: 'plain', version: '1.0', sha256: 'b'.repeat(64) },
  ])
})

test('a package from an address, without a checksum, or with a name that is more than a name is refused', () => {
  const refused = [
    item({ is_direct: true }),
    item({ is_direct: undefined }),
    item({ download_info: { vcs_info: { vcs: 'git' } } }),
    item({ download_info: { archive_info: { hash: `md5=${'b'.repeat(32)}` } } }),
    item({ metadata: { name: 'a==1 --index-url', version: '1.0' } }),
    item({ metadata: { name: 'a', version: '1.0\n--pre' } }),
    'text',
    null,
  ]
  for (const one of refused) assert.throws(() => read(item(), one), { code: 'package_integrity_failed' }, JSON.stringify(one))
})

test('what is no report is an installation that failed', () => {
  for (const text of ['', '[]', '{}', '{"install":7}'])
    assert.throws(() => readResolution(text), { code: 'install_failed' }, text)
})
