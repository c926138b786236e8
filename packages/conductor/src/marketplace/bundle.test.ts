import assert from 'node:assert/strict'
import { chmod, mkdir, mkdtemp, readdir, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { digestOf, sealBundle, verifyBundle } from './bundle.ts'

async function tree(t: TestContext, files: Record<string, string>) {
  const root = await mkdtemp(join(tmpdir(), 'maestro-bundle-'))
  t.after(() => rm(root, { recursive: true, force: true }))
  const staged = join(root, 'staged')
  await mkdir(staged)
  for (const [path, text] of Object.entries(files)) {
    await mkdir(join(staged, path, '..'), { recursive: true })
    await writeFile(join(staged, path), text)
  }
  return { root, staged, bundles: join(root, 'bundles') }
}

test('the digest is a function of content, executable bit and links, and of nothing else', async t => {
  const { staged } = await tree(t, { 'a.js': '1', 'b/c.js': '2' })
  const { staged: same } = await tree(t, { 'b/c.js': '2', 'a.js': '1' })
  const digest = await digestOf(staged)
  assert.match(digest, /^sha256:[0-9a-f]{64}$/)
  assert.equal(await digestOf(same), digest, 'the order of writing does not count')
  await chmod(join(same, 'a.js'), 0o600)
  assert.equal(await digestOf(same), digest, 'who may read does not count')

  const changes: [string, () => Promise<unknown>][] = [
    ['content', () => writeFile(join(same, 'a.js'), '1 ')],
    ['executable bit', () => chmod(join(same, 'a.js'), 0o755)],
    ['empty folder', () => mkdir(join(same, 'empty'))],
    ['link', () => symlink('a.js', join(same, 'link'))],
    ['target', () => rm(join(same, 'link')).then(() => symlink('b/c.js', join(same, 'link')))],
  ]
  const seen = new Set([digest])
  for (const [what, change] of changes) {
    await change()
    const changed = await digestOf(same)
    assert.ok(!seen.has(changed), what)
    seen.add(changed)
  }
})

test('sealing twice keeps one bundle', async t => {
  const first = await tree(t, { 'a.js': '1' })
  const second = await tree(t, { 'a.js': '1' })
  const bundle = await sealBundle(first.staged, first.bundles)
  assert.deepEqual(await sealBundle(second.staged, first.bundles), bundle)
  assert.deepEqual(await readdir(first.bundles), [bundle.name])
  assert.equal((await stat(first.bundles)).mode & 0o777, 0o700, 'what is deployed is nobody else’s business')
  assert.ok(await verifyBundle(bundle.folder, bundle.digest))
})

test('links inside a bundle stay, links to nothing go', async t => {
  const { staged, bundles } = await tree(t, { 'lib/a.js': '1' })
  await symlink('lib/a.js', join(staged, 'inside'))
  await symlink('lib', join(staged, 'folder'))
  await symlink('nowhere', join(staged, 'dangling'))
  const { folder } = await sealBundle(staged, bundles)
  assert.deepEqual((await readdir(folder)).sort(), ['folder', 'inside', 'lib'])
  assert.equal(await readlink(join(folder, 'inside')), 'lib/a.js')
})

test('what leads out of a bundle or is no file is refused', async t => {
  const cases: [string, (folder: string) => Promise<unknown>][] = [
    ['parent', folder => symlink('../../', join(folder, 'x'))],
    ['absolute, even to inside', folder => symlink(join(folder, 'a.js'), join(folder, 'x'))],
    ['by way of another link', folder => symlink('lib', join(folder, 'l')).then(() => symlink('l/../..', join(folder, 'x')))],
    ['device', folder => symlink('/dev/null', join(folder, 'x'))],
    ['socket', folder => new Promise<void>(resolve => void createServer().listen(join(folder, 'x'), resolve).unref())],
  ]
  for (const [what, spoil] of cases) {
    const { staged, bundles } = await tree(t, { 'a.js': '1', 'lib/b.js': '2' })
    await spoil(staged)
    await assert.rejects(sealBundle(staged, bundles), { code: 'package_integrity_failed' }, what)
  }
})
