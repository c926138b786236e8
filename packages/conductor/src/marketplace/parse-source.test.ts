import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { parseSource } from './parse-source.ts'

const seed = Number(process.env['SEED'] ?? 20_261_122)
const nowhere = () => null

test('a package is read with its version, range or tag', () => {
  const cases: [string, string, string][] = [
    ['exa-mcp-server', 'exa-mcp-server', '*'],
    ['@modelcontextprotocol/server-everything', '@modelcontextprotocol/server-everything', '*'],
    ['@scope/name@1.2.3', '@scope/name', '1.2.3'],
    ['@scope/name@^1.2 || >=3', '@scope/name', '^1.2 || >=3'],
    ['name@next', 'name', 'next'],
    ['  name@1.0.0-beta.1+5 ', 'name', '1.0.0-beta.1+5'],
  ]
  for (const [text, name, range] of cases) {
    assert.deepEqual(parseSource(text, nowhere), { kind: 'npm', package: name, range })
  }
})

test('a path is a folder, and so is a bare word that is one here', () => {
  for (const path of ['.', './server', '../server', '/srv/mcp', '~/mcp']) {
    assert.deepEqual(parseSource(path, nowhere), { kind: 'folder', path })
  }
  assert.deepEqual(
    parseSource('server', path => (path === 'server' ? 'folder' : null)),
    { kind: 'folder', path: 'server' },
  )
})

test('a path to a file is a program; a bare word that is a file is a package all the same', () => {
  const here = () => 'file' as const
  assert.deepEqual(parseSource('./server', here), { kind: 'file', path: './server' })
  assert.deepEqual(parseSource('/srv/mcp', here), { kind: 'file', path: '/srv/mcp' })
  assert.equal(parseSource('server', here).kind, 'npm')
})

test('a package of PyPI is read with its extras and its version or range', () => {
  const cases: [string, string, string][] = [
    ['pypi:mcp-server-time', 'mcp-server-time', '*'],
    ['pypi:mcp-server-fetch@2025.4.7', 'mcp-server-fetch', '2025.4.7'],
    ['pypi:mcp[cli]@1.2.0rc1', 'mcp[cli]', '1.2.0rc1'],
    ['pypi:mcp [cli, ws] >= 1.2, <2', 'mcp[cli,ws]', '>=1.2,<2'],
    ['pypi:name@~=1.4', 'name', '~=1.4'],
    ['pypi:name==1.4.*', 'name', '==1.4.*'],
    ['PyPI:name@latest', 'name', '*'],
    ['pypi:name@1!2.0+local.1', 'name', '1!2.0+local.1'],
  ]
  for (const [text, name, range] of cases) {
    assert.deepEqual(parseSource(text, nowhere), { kind: 'pypi', package: name, range }, text)
  }
})

test('what pip would take for something else than a name and a version is refused', () => {
  for (const text of [
    'pypi:',
    'pypi:-r',
    'pypi:../x',
    'pypi:name@',
    'pypi:name@git+https://example.test/x',
    'pypi:name @ https://example.test/x.whl',
    'pypi:name@1.0 --index-url',
    'pypi:name;python_version>"3"',
    'pypi:name[$(id)]',
    'pypi:name@1.0\n--pre',
    'pypi:name@beta',
  ]) {
    assert.throws(() => parseSource(text, nowhere), { code: 'source_invalid' }, text)
  }
})

test('a remote server is reached over https, or over http on this machine', () => {
  assert.deepEqual(parseSource('https://mcp.example.test/mcp#part', nowhere), {
    kind: 'remote',
    url: 'https://mcp.example.test/mcp',
  })
  for (const url of ['http://localhost:3000/mcp', 'http://127.0.0.1:1/', 'http://[::1]:8080/mcp']) {
    assert.deepEqual(parseSource(url, nowhere), { kind: 'remote', url })
  }
})

test('a session is served from its recording', () => {
  assert.deepEqual(parseSource('ses_00000000000000000001', nowhere), { kind: 'recording', session: 'ses_00000000000000000001' })
})

test('what is none of these is refused with a code', () => {
  const refused = [
    '',
    'ses_short',
    'http://mcp.example.test/mcp',
    'ftp://mcp.example.test/',
    'https://user:word@mcp.example.test/mcp',
    'name@git+ssh://host/x',
    'name@file:../x',
    'owner/repository',
    'git@host:owner/repository',
    'name@',
    '-rf',
    '@scope',
    'a b',
  ]
  for (const text of refused) {
    assert.throws(() => parseSource(text, nowhere), { code: 'source_invalid' }, text)
  }
})

test('the password of a refused URL is not in the message', () => {
  for (const url of ['https://user:hunter2@mcp.example.test/mcp', 'http://user:hunter2@mcp.example.test/mcp']) {
    assert.throws(
      () => parseSource(url, nowhere),
      (error: Error) => !error.message.includes('hunter2'),
    )
  }
})

test('any text is either read or refused with source_invalid', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), text => {
      try {
        return ['npm', 'pypi', 'folder', 'remote', 'recording'].includes(parseSource(text, nowhere).kind)
      } catch (error) {
        return (error as { code?: string }).code === 'source_invalid'
      }
    }),
    { seed, numRuns: 2000 },
  )
})
