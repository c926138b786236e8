import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import type { SandboxId } from '@maestro/contract'
import { readConfig } from '../config.ts'
import type { ReleaseRow } from '../store/store.ts'
import { createLog } from '../telemetry/logger.ts'
import { realWorld } from '../world.ts'
import { verifyBundle } from './bundle.ts'
import { createInstaller, type InstallerParts, type InstallRequest } from './installer.ts'
import { memoryReleases } from './testing/memory-releases.ts'
import { nodeDriver, nodeUpstream } from './testing/node-driver.ts'
import { fakeRegistry } from './testing/registry.ts'
import { plainServer } from './testing/servers.ts'

async function setUp(t: TestContext, more: Partial<InstallerParts> = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'maestro-install-'))
  const registry = await fakeRegistry()
  t.after(async () => {
    await registry[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })
  const dataFolder = join(folder, 'data')
  const store = memoryReleases()
  const driver = nodeDriver()
  const world = realWorld(createLog(() => 0, []))
  const installer = createInstaller({
    world,
    config: readConfig({}, { MAESTRO_INITIALIZE_MS_MAX: '5000' }),
    dataFolder,
    store,
    driver,
    keyedDigest: text => createHash('sha256').update(`test ${text}`).digest('hex'),
    ...more,
    environment: {
      PATH: process.env['PATH'],
      HOME: folder,
      npm_config_registry: `${registry.url}/`,
      npm_config_cache: join(folder, 'cache'),
      npm_config_userconfig: join(folder, 'none'),
      npm_config_globalconfig: join(folder, 'none-global'),
      npm_config_fetch_retries: '0',
      // As left behind by `npm start`: it must not lead the installation astray.
      npm_config_local_prefix: folder,
    },
  })
  t.after(() => installer.close())
  const install = (source: string, more: Partial<InstallRequest> = {}) =>
    installer.install({ source, args: [], env: {}, egress: [], ...more })
  const bundleOf = (release: ReleaseRow) => join(dataFolder, 'bundles', release.bundle ?? '')
  return { folder, dataFolder, registry, store, driver, installer, install, bundleOf }
}

const serverPackage = (name: string, version = '1.0.0', manifest: Record<string, unknown> = {}) => ({
  name,
  version,
  manifest: { bin: { [name]: 'server.js' }, ...manifest },
  files: { 'server.js': plainServer },
})

test('a package becomes a bundle with its dependencies, and its server says what it is', async t => {
  const { registry, install, bundleOf, dataFolder } = await setUp(t)
  registry.publish(
    { name: 'helper', version: '2.1.0', files: { 'index.js': 'module.exports = 1' } },
    serverPackage('@acme/mcp', '1.2.0', { bin: 'server.js', dependencies: { helper: '^2.0.0' } }),
  )
  const { release, installed } = await install('@acme/mcp')
  assert.equal(installed, true)
  assert.deepEqual(release.source, { kind: 'npm', package: '@acme/mcp', version: '1.2.0' })
  assert.equal(release.program?.entry, 'node_modules/@acme/mcp/server.js')
  assert.deepEqual(
    release.manifest.tools.map(tool => tool.name),
    ['echo'],
  )
  assert.equal(release.manifest.pingBeforeInitialize, true)
  assert.ok(release.manifest.startupMs > 0)

  const bundle = bundleOf(release)
  assert.equal(release.bundle, release.digest.replace(':', '-'))
  assert.ok(await verifyBundle(bundle, release.digest))
  assert.equal(await readFile(join(bundle, 'node_modules/helper/index.js'), 'utf8'), 'module.exports = 1')
  assert.equal((await stat(bundle)).mode & 0o777, 0o755)
  assert.equal((await stat(join(bundle, 'node_modules/helper/index.js'))).mode & 0o222, 0, 'files are read-only')
  assert.deepEqual(await readdir(join(dataFolder, 'staging')), [], 'nothing is left in staging')
})

test('the second installation of an exact version does no work', async t => {
  const { registry, install, driver } = await setUp(t)
  registry.publish(serverPackage('plain'))
  const first = await install('plain@1.0.0')
  const [asked, started] = [registry.requests.length, driver.started.length]
  const second = await install('plain@1.0.0')
  assert.equal(second.installed, false)
  assert.equal(second.release.id, first.release.id)
  assert.equal(registry.requests.length, asked, 'the registry is not asked')
  assert.equal(driver.started.length, started, 'nothing is run')
})

test('without a version the registry is asked which is the newest, and only a new one is fetched', async t => {
  const { registry, install } = await setUp(t)
  registry.publish(serverPackage('plain'))
  const first = await install('plain')
  const before = registry.requests.length
  assert.equal((await install('plain')).release.id, first.release.id)
  assert.ok(!registry.requests.slice(before).some(path => path.endsWith('.tgz')), 'no archive is fetched again')

  registry.publish(serverPackage('plain', '1.1.0'))
  const upgraded = await install('plain@latest')
  assert.equal(upgraded.release.version, '1.1.0')
  assert.equal(upgraded.installed, true)
  assert.notEqual(upgraded.release.digest, first.release.digest)
})

test('the same version gives the same bundle however it was asked for', async t => {
  const { registry, install, dataFolder, store } = await setUp(t)
  registry.publish(serverPackage('plain'))
  const { release } = await install('plain@^1.0.0')
  await rm(join(dataFolder, 'bundles'), { recursive: true })
  store.rows.length = 0
  assert.equal((await install('plain@1.0.0')).release.digest, release.digest)
})

test('two requests at once make one release', async t => {
  const { registry, install, store } = await setUp(t)
  registry.publish(serverPackage('plain'))
  const [a, b] = await Promise.all([install('plain'), install('plain@1.0.0')])
  assert.equal(a.release.id, b.release.id)
  assert.equal(store.rows.length, 1)
})

test('an archive that is not the one its checksum names is refused', async t => {
  const { registry, install, store, dataFolder } = await setUp(t)
  registry.publish({ ...serverPackage('plain'), integrity: `sha512-${Buffer.alloc(64, 7).toString('base64')}` })
  await assert.rejects(install('plain'), { code: 'package_integrity_failed' })
  assert.equal(store.rows.length, 0)
  assert.deepEqual(await readdir(join(dataFolder, 'staging')), [])
})

test('a dependency without a checksum is refused before it is fetched', async t => {
  const { registry, install } = await setUp(t)
  registry.publish(
    { name: 'helper', version: '1.0.0', integrity: null },
    serverPackage('plain', '1.0.0', { dependencies: { helper: '*' } }),
  )
  await assert.rejects(install('plain'), (error: Error & { code?: string }) => {
    assert.equal(error.code, 'package_integrity_failed')
    assert.match(error.message, /helper/)
    return true
  })
})

test('a package or version that is not there is said to be missing', async t => {
  const { registry, install } = await setUp(t)
  registry.publish(serverPackage('plain'))
  await assert.rejects(install('nowhere'), { code: 'package_not_found' })
  await assert.rejects(install('plain@7.0.0'), { code: 'package_not_found' })
  await assert.rejects(install('plain@beta'), { code: 'package_not_found' })
})

test('a registry that cannot be reached is said to be so', async t => {
  const { registry, install } = await setUp(t)
  await registry[Symbol.asyncDispose]()
  await assert.rejects(install('plain'), (error: Error & { code?: string }) => {
    assert.equal(error.code, 'install_failed')
    assert.match(error.message, /cannot be reached/)
    return true
  })
})

test('a package for another Node is refused with what it needs', async t => {
  const { registry, install } = await setUp(t)
  registry.publish(serverPackage('plain', '1.0.0', { engines: { node: '>=99' } }))
  await assert.rejects(install('plain@1.0.0'), (error: Error & { code?: string }) => {
    assert.equal(error.code, 'package_not_runnable')
    assert.match(error.message, />=99/)
    return true
  })
})

test('install scripts run only where they were allowed', async t => {
  const { registry, install, bundleOf } = await setUp(t)
  registry.publish(
    serverPackage('plain', '1.0.0', {
      scripts: { postinstall: `node -e "require('fs').writeFileSync('ran', process.env.MAESTRO_SECRET || 'no secret')"` },
    }),
  )
  const ran = (release: ReleaseRow) => readFile(join(bundleOf(release), 'node_modules/plain/ran'), 'utf8').catch(() => null)
  assert.equal(await ran((await install('plain')).release), null)
  const allowed = await install('plain', { allowScripts: true })
  assert.equal(await ran(allowed.release), 'no secret')
  assert.equal(await ran((await install('plain')).release), null, 'and not carried over to who did not allow them')
})

test('of several programs the one named is run', async t => {
  const { registry, install, bundleOf } = await setUp(t)
  registry.publish({
    name: 'many',
    version: '1.0.0',
    manifest: { bin: { first: 'a.js', second: 'b.js' } },
    files: { 'a.js': plainServer, 'b.js': `// second\n${plainServer.slice(plainServer.indexOf('\n') + 1)}` },
  })
  await assert.rejects(install('many'), (error: Error & { code?: string }) => {
    assert.equal(error.code, 'package_not_runnable')
    assert.match(error.message, /first, second/)
    return true
  })
  const first = await install('many', { bin: 'first' })
  const second = await install('many', { bin: 'second' })
  assert.equal(second.release.program?.entry, 'node_modules/many/b.js')
  assert.equal(bundleOf(first.release), bundleOf(second.release), 'one bundle serves both')
  assert.equal((await install('many', { bin: 'first' })).release.id, first.release.id)
})

test('a server that does not pass its first run is refused with its standard error, secrets taken out', async t => {
  const { registry, install, store } = await setUp(t)
  registry.publish({
    name: 'picky',
    version: '1.0.0',
    manifest: { bin: 'server.js' },
    files: { 'server.js': `console.error('bad key ' + process.env.API_KEY); process.exit(3)` },
  })
  await assert.rejects(install('picky', { env: { API_KEY: 'hunter2-hunter2' } }), (error: Error & { code?: string }) => {
    assert.equal(error.code, 'manifest_failed')
    assert.match(error.message, /exit code 3/)
    assert.match(error.message, /bad key \[API_KEY\]/)
    assert.doesNotMatch(error.message, /hunter2/)
    return true
  })
  assert.equal(store.rows.length, 0)
})

test('an installation ends when it is called off', async t => {
  const { registry, installer, dataFolder } = await setUp(t)
  registry.publish(serverPackage('plain'))
  const off = new AbortController()
  registry.onRequest = () => off.abort(new Error('called off'))
  await assert.rejects(installer.install({ source: 'plain', args: [], env: {}, egress: [] }, off.signal), /called off/)
  assert.deepEqual(await readdir(join(dataFolder, 'staging')).catch(() => []), [])
})

test('a folder without dependencies needs no npm, no package.json and no registry', async t => {
  const { folder, install, registry, driver } = await setUp(t)
  const source = join(folder, 'My Server')
  await mkdir(join(source, '.git'), { recursive: true })
  await writeFile(join(source, '.git/config'), 'x')
  await writeFile(join(source, 'server.cjs'), plainServer)
  await writeFile(join(source, 'index.mjs'), `await import('./server.cjs')`)
  const { release, installed } = await install(source)
  assert.equal(installed, true)
  assert.equal(release.name, 'My Server')
  assert.equal(release.program?.entry, 'index.mjs')
  assert.deepEqual(release.source, { kind: 'folder', path: source })
  assert.equal(registry.requests.length, 0)

  const started = driver.started.length
  assert.deepEqual(await install(source), { release, installed: false })
  assert.equal(driver.started.length, started)

  await writeFile(join(source, 'data.txt'), 'new')
  const changed = await install(source)
  assert.equal(changed.installed, true)
  assert.notEqual(changed.release.digest, release.digest)
})

test('a folder gets its dependencies by its lockfile, held to checksums', async t => {
  const { folder, install, registry, bundleOf } = await setUp(t)
  registry.publish({ name: 'helper', version: '2.1.0', files: { 'index.js': 'module.exports = 1' } })
  const source = join(folder, 'own')
  await mkdir(join(source, 'node_modules/stale'), { recursive: true })
  await writeFile(join(source, 'server.js'), plainServer)
  await writeFile(join(source, '.npmrc'), 'fund=false\n')
  const facts = { name: 'own', version: '0.3.0', bin: 'server.js', dependencies: { helper: '^2.0.0' } }
  await writeFile(join(source, 'package.json'), JSON.stringify(facts))
  const { release } = await install(source)
  assert.equal(release.version, '0.3.0')
  assert.deepEqual(
    (await readdir(join(bundleOf(release), 'node_modules'))).filter(name => !name.startsWith('.')),
    ['helper'],
  )
  await assert.rejects(stat(join(bundleOf(release), '.npmrc')), 'npm’s settings, and tokens in them, stay out of the bundle')

  const before = registry.requests.length
  assert.equal((await install(source)).installed, false)
  assert.equal(registry.requests.length, before)

  const lock = {
    name: 'own',
    version: '0.3.0',
    lockfileVersion: 3,
    packages: { '': facts, 'node_modules/helper': { version: '2.1.0', resolved: `${registry.url}/x.tgz` } },
  }
  await writeFile(join(source, 'package-lock.json'), JSON.stringify(lock))
  await assert.rejects(install(source), { code: 'package_integrity_failed' })
})

test('the npm configuration of a folder starts no program here and sends no token anywhere', async t => {
  const { folder, install, registry } = await setUp(t)
  const source = join(folder, 'evil')
  await mkdir(source)
  await writeFile(join(source, 'index.mjs'), '')
  const mark = join(folder, 'started')
  await writeFile(join(source, 'git.sh'), `#!/bin/sh\ntouch ${mark}\nexit 1\n`)
  await chmod(join(source, 'git.sh'), 0o755)
  await writeFile(join(source, '.npmrc'), `allow-git=all\ngit=${join(source, 'git.sh')}\nregistry=${registry.url}/\${HOME}/\n`)
  const facts = { name: 'evil', version: '1.0.0', dependencies: { x: 'git+https://127.0.0.1:1/x.git' } }
  await writeFile(join(source, 'package.json'), JSON.stringify(facts))
  await assert.rejects(install(source), { code: 'install_failed' })
  await assert.rejects(stat(mark))

  await writeFile(join(source, 'package.json'), JSON.stringify({ ...facts, dependencies: { helper: '1.0.0' } }))
  await assert.rejects(install(source), { code: 'package_not_found' })
  assert.ok(registry.requests.includes('/helper'), 'the registry of the person is asked')
  assert.ok(!registry.requests.some(path => path.includes(folder)), 'nothing of the environment is in what is asked')
})

test('a lockfile that fetches from anywhere else than a registry or the folder is refused', async t => {
  const { folder, install } = await setUp(t)
  await writeFile(join(folder, 'private.tgz'), 'x')
  const source = join(folder, 'far')
  await mkdir(source)
  await writeFile(join(source, 'index.mjs'), '')
  const facts = { name: 'far', version: '1.0.0', dependencies: { helper: '1.0.0' } }
  await writeFile(join(source, 'package.json'), JSON.stringify(facts))
  const integrity = `sha512-${'A'.repeat(86)}==`
  for (const entry of [
    { resolved: 'git+ssh://git@127.0.0.1/x.git#0000000000000000000000000000000000000000', integrity },
    { resolved: `file:${join(folder, 'private.tgz')}`, integrity },
    { resolved: 'file:../../../private.tgz', integrity },
    { resolved: '../../../keys', link: true },
    { resolved: 7, integrity },
  ]) {
    const packages = { '': facts, 'node_modules/helper': { version: '1.0.0', ...entry } }
    await writeFile(join(source, 'package-lock.json'), JSON.stringify({ name: 'far', lockfileVersion: 3, packages }))
    await assert.rejects(install(source), { code: 'package_integrity_failed' }, JSON.stringify(entry))
  }
})

test('what is no folder, or holds what a bundle may not, is refused', async t => {
  const { folder, install } = await setUp(t)
  await assert.rejects(install(join(folder, 'nowhere')), { code: 'source_invalid' })
  const source = join(folder, 'leaky')
  await mkdir(source)
  await writeFile(join(source, 'index.mjs'), '')
  await writeFile(join(folder, 'outside'), 'secret')
  await symlink('../outside', join(source, 'link'))
  // Relative to staging it may point anywhere, and what it points to here is not part of the folder.
  await symlink(join(folder, 'outside'), join(source, 'absolute'))
  await assert.rejects(install(source), { code: 'package_integrity_failed' })
})

test('the same files with other arguments or environment are run anew, since they may offer other tools; the bundle stays', async t => {
  const { folder, install } = await setUp(t)
  const source = join(folder, 'moody')
  await mkdir(source)
  await writeFile(join(source, 'index.js'), plainServer)
  const first = await install(source, { args: ['a'], env: { MODE: 'x' } })
  const again = await install(source, { args: ['a'], env: { MODE: 'x' } })
  assert.deepEqual([again.installed, again.release.id], [false, first.release.id])
  for (const other of [
    { args: ['b'], env: { MODE: 'x' } },
    { args: ['a'], env: { MODE: 'y' } },
    { args: ['a'], env: { MODE: 'x' }, egress: ['example.com'] },
  ]) {
    const { release, installed } = await install(source, other)
    assert.equal(installed, true)
    assert.notEqual(release.id, first.release.id)
    assert.equal(release.bundle, first.release.bundle)
    assert.ok(!JSON.stringify(release).includes('MODE'))
  }
})

test('a remote server is asked anew each time, and is a new release only where it says something new', async t => {
  let tools = 'one'
  const program = () => plainServer.replace(/^#!.*\n/, '').replace('echo', tools)
  const { install, store } = await setUp(t, {
    startRemote: async () => nodeUpstream('sbx_00000000000000000001' as SandboxId, ['-e', program()]),
  })
  const first = await install('http://127.0.0.1:1/mcp')
  assert.equal(first.installed, true)
  assert.equal(first.release.name, 'plain')
  assert.equal(first.release.bundle, null)
  assert.equal(first.release.manifest.pingBeforeInitialize, false)
  assert.equal((await install('http://127.0.0.1:1/mcp')).release.id, first.release.id)
  tools = 'two'
  assert.equal((await install('http://127.0.0.1:1/mcp')).installed, true)
  assert.equal(store.rows.length, 2)
})

test('a remote source needs somebody who connects, a recording somebody who records', async t => {
  const { install } = await setUp(t)
  await assert.rejects(install('http://127.0.0.1:1/mcp'), { code: 'remote_unreachable' })
  await assert.rejects(install('ses_00000000000000000001'), { code: 'session_not_found' })
})

test('a bundle that was tampered with is told from an honest one', async t => {
  const { registry, install, bundleOf } = await setUp(t)
  registry.publish(serverPackage('plain'))
  const { release } = await install('plain')
  const file = join(bundleOf(release), release.program?.entry ?? '')
  assert.ok(await verifyBundle(bundleOf(release), release.digest))
  await chmod(file, 0o644)
  await writeFile(file, `${plainServer}\n// more`)
  assert.equal(await verifyBundle(bundleOf(release), release.digest), false)
})
