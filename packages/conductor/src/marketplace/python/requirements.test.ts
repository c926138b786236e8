import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { checkRequirement, readRequirements } from './requirements.ts'

async function folderWith(t: TestContext, files: Record<string, string>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'maestro-requirements-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  await mkdir(join(folder, 'more'))
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
  return folder
}

test('requirements are read with their versions, markers and checksums', async t => {
  const folder = await folderWith(t, {
    'requirements.txt':
      'mcp>=1.2,<3   # the SDK\n\n# a comment\nhttpx [http2] == 0.28.*\nwin32 ; sys_platform == "win32"\n' +
      `pinned==1.0 \\\n  --hash=sha256:${'a'.repeat(64)} \\\n  --hash=sha256:${'b'.repeat(64)}\n-e .\n.\n-r more/dev.txt\n--extra-index-url https://example.test/simple/\n`,
    'more/dev.txt': 'pytest\n--pre\n',
  })
  assert.deepEqual(await readRequirements(folder), [
    'mcp>=1.2,<3',
    'httpx [http2] == 0.28.*',
    'win32 ; sys_platform == "win32"',
    `pinned==1.0    --hash=sha256:${'a'.repeat(64)}    --hash=sha256:${'b'.repeat(64)}`,
    'pytest',
    '--pre',
    '--extra-index-url https://example.test/simple/',
  ])
})

test('a folder without requirements.txt requires nothing', async t => {
  assert.deepEqual(await readRequirements(await folderWith(t, {})), [])
})

test('what no index answers for is refused as such', () => {
  for (const line of [
    'evil @ https://example.test/evil.whl',
    'git+https://example.test/evil.git',
    './wheels/evil-1.0-py3-none-any.whl',
    '/srv/evil.whl',
    'file:///srv/evil.whl',
  ]) {
    assert.throws(() => checkRequirement(line), { code: 'package_integrity_failed' }, line)
  }
})

test('an option, a file from elsewhere or a variable never reaches pip', async t => {
  const refused = [
    '--find-links ./wheels',
    '--trusted-host example.test',
    '-c constraints.txt',
    '--no-binary :all:',
    '-r ../outside.txt',
    '-r /srv/outside.txt',
    '-r requirements.txt',
    '--index-url http://example.test/',
    '--index-url https://user:word@example.test/',
    '--index-url https://example.test/${SECRET}/',
    'name==${SECRET}',
    'name --global-option=x',
    '-e git+https://example.test/x.git',
  ]
  for (const line of refused) {
    const folder = await folderWith(t, { 'requirements.txt': `${line}\n` })
    await assert.rejects(readRequirements(folder), /Error/, line)
  }
  const folder = await folderWith(t, { 'secret.txt': 'a\n' })
  await symlink('secret.txt', join(folder, 'requirements.txt'))
  await assert.rejects(readRequirements(folder), { code: 'package_not_runnable' })
})
