/**
 * Goal: what is not Node installs and runs as Node does: packages of PyPI, folders of Python, programs in one file; and a hostile
 * package runs nothing outside of a sandbox and puts nothing outside of its bundle.
 * Method: a package index on loopback with wheels made here, the real pip, the real sandbox. Each attack is a file or a line that would
 * work for whoever installed it by hand.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { chmod, lstat, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { deflateRawSync, gzipSync } from 'node:zlib'
import { makeId } from '@maestro/contract'
import { readConfig, sandboxLimits } from '../../packages/conductor/src/config.ts'
import { verifyBundle } from '../../packages/conductor/src/marketplace/bundle.ts'
import { createInstaller, type InstallRequest } from '../../packages/conductor/src/marketplace/installer.ts'
import { openRpcLink } from '../../packages/conductor/src/marketplace/rpc-link.ts'
import { memoryReleases } from '../../packages/conductor/src/marketplace/testing/memory-releases.ts'
import { type FakeWheel, fakeIndex } from '../../packages/conductor/src/marketplace/testing/python-index.ts'
import { pythonServer } from '../../packages/conductor/src/marketplace/testing/servers.ts'
import { BubblewrapDriver } from '../../packages/conductor/src/sandbox/bubblewrap/bubblewrap.ts'
import type { ReleaseRow } from '../../packages/conductor/src/store/store.ts'
import { createLog } from '../../packages/conductor/src/telemetry/logger.ts'
import { realWorld } from '../../packages/conductor/src/world.ts'
import { tarOf } from './support/tar.ts'

async function setUp(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'maestro-python-'))
  const index = await fakeIndex()
  const dataFolder = join(folder, 'data')
  const world = realWorld(createLog(() => 0, []))
  const driver = new BubblewrapDriver(world)
  const config = readConfig({}, {})
  const installer = createInstaller({
    world,
    config,
    dataFolder,
    store: memoryReleases(),
    driver,
    keyedDigest: text => createHash('sha256').update(text).digest('hex'),
    environment: {
      PATH: process.env['PATH'],
      HOME: folder,
      PIP_INDEX_URL: index.url,
      PIP_CONFIG_FILE: '/dev/null',
      PIP_CACHE_DIR: join(folder, 'cache'),
      // As a person's shell might have it: it must not lead the installation astray.
      PIP_TARGET: join(folder, 'astray'),
      PIP_REQUIRE_VIRTUALENV: '1',
      PIP_NO_BINARY: ':all:',
    },
  })
  t.after(async () => {
    await installer.close()
    await driver.close()
    await index[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })
  const install = (source: string, more: Partial<InstallRequest> = {}) =>
    installer.install({ source, args: [], env: {}, egress: [], ...more })
  const bundleOf = (release: ReleaseRow) => join(dataFolder, 'bundles', release.bundle ?? '')
  /** What the server's tool says, in a sandbox of its own. */
  async function say(release: ReleaseRow, env: Record<string, string> = {}): Promise<string> {
    const id = makeId('sbx', world.now(), world.randomBytes(11))
    const { program } = release
    const limits = sandboxLimits(config)
    const sandbox = await driver.start({ id, bundle: bundleOf(release), program: program!, args: [], env, egress: [], limits })
    const link = openRpcLink(world, sandbox)
    const answer = await link.request('tools/call', { name: 'say', arguments: {} }, 20_000)
    await sandbox.close()
    return (answer as { content: { text: string }[] }).content[0]!.text
  }
  const folderOf = async (name: string, files: Record<string, string>) => {
    const path = join(folder, name)
    for (const [file, text] of Object.entries(files)) {
      await mkdir(join(path, file, '..'), { recursive: true })
      await writeFile(join(path, file), text)
    }
    return path
  }
  return { folder, index, install, bundleOf, say, folderOf }
}

const snake = (more: Partial<FakeWheel> = {}, front = '', text?: string): FakeWheel => ({
  name: 'mcp-server-snake',
  version: '1.0',
  scripts: { 'mcp-server-snake': 'snake.server:main' },
  files: { 'snake/__init__.py': '', 'snake/server.py': pythonServer(front, text), ...more.files },
  ...(({ files: _, ...rest }) => rest)(more),
})

test('a package of PyPI is pinned, compiled, and finds its packages and nothing of the machine', async t => {
  const { index, install, bundleOf, say, folder } = await setUp(t)
  index.publish(
    { name: 'helper', version: '2.0', files: { 'helper.py': 'WORD = "from helper"\nNAMES = {"a", "b", "c"}\n' } },
    snake(
      { metadata: ['Requires-Dist: helper>=2', 'Requires-Python: >=3.10'] },
      'import helper, importlib.metadata, os, subprocess',
      `helper.WORD + " " + importlib.metadata.version("helper") + " " + str([p for p in sys.path if "dist-packages" in p]) + " " + subprocess.run([sys.executable, "-c", "import helper; print(helper.WORD)"], capture_output=True, text=True).stdout + os.environ.get("MODE", "none") + str(helper.__cached__.endswith(".pyc")) + "".join(helper.NAMES)`,
    ),
    snake({ version: '2.0', metadata: ['Requires-Python: >=4'] }),
  )
  const { release, installed } = await install('pypi:mcp-server-snake')
  assert.equal(installed, true)
  assert.equal(release.version, '1.0', 'the newest that this Python runs')
  assert.deepEqual(release.source, { kind: 'pypi', package: 'mcp-server-snake', version: '1.0' })
  assert.deepEqual(release.program, { runtime: 'python', entry: '.maestro/launch/mcp-server-snake.py' })
  assert.deepEqual(
    release.manifest.tools.map(({ name }) => name),
    ['say'],
  )
  assert.ok(await verifyBundle(bundleOf(release), release.digest))
  const packages = join(bundleOf(release), '.maestro/site-packages')
  const [compiled = ''] = (await readdir(join(packages, '__pycache__'))).filter(name => name.startsWith('helper'))
  assert.equal(
    (await readFile(join(packages, '__pycache__', compiled))).readUInt32LE(4),
    1,
    'held to its source by content, not looked at again',
  )
  const said = await say(release, { MODE: 'deployed' })
  assert.match(said, /^from helper 2\.0 \[\] from helper\ndeployedTrue/)
  assert.equal(await say(release, { MODE: 'deployed' }), said, 'the order of a set is the same in every run')
  await assert.rejects(stat(join(folder, 'astray')))

  index.requests.length = 0
  const again = await install('pypi:mcp-server-snake@1.0')
  assert.deepEqual([again.installed, again.release.id], [false, release.id])
  assert.deepEqual(index.requests, [], 'the same version again asks nobody')
  const ranged = await install('pypi:mcp-server-snake>=0.5,<1.5')
  assert.deepEqual([ranged.installed, ranged.release.id], [false, release.id])
  await assert.rejects(install('pypi:mcp-server-snake@2.0'), { code: 'package_not_runnable' })
  await assert.rejects(install('pypi:mcp-server-snake@3.0'), { code: 'package_not_found' })
  await assert.rejects(install('pypi:nowhere'), { code: 'package_not_found' })
})

test('the same wheels give the same bundle, wherever and whenever they are installed', async t => {
  const digests: string[] = []
  for (const _ of [1, 2]) {
    const { index, install } = await setUp(t)
    const names = Array.from({ length: 40 }, (_, at) => `"name${at}"`).join(', ')
    index.publish(snake({ files: { 'snake/sets.py': `def has(x):\n    return x in {${names}}\n` } }))
    digests.push((await install('pypi:mcp-server-snake')).release.digest)
  }
  assert.equal(digests[0], digests[1])
})

test('of several programs the one named is run, and a package without any by its module', async t => {
  const { index, install, say } = await setUp(t)
  index.publish(
    { ...snake({}, '', '__name__'), name: 'many', scripts: { first: 'snake.server:main', second: 'snake.server:main' } },
    {
      name: 'bare-mcp',
      version: '1.0',
      files: { 'bare_mcp/__init__.py': '', 'bare_mcp/__main__.py': pythonServer('', '__name__') },
    },
  )
  await assert.rejects(install('pypi:many'), /first, second/)
  await assert.rejects(install('pypi:many', { bin: 'third' }), { code: 'package_not_runnable' })
  assert.equal((await install('pypi:many', { bin: 'second' })).release.program?.entry, '.maestro/launch/second.py')
  assert.equal(await say((await install('pypi:bare-mcp')).release), '__main__')
})

test('a wheel that is not what the index names is refused', async t => {
  const { index, install } = await setUp(t)
  index.publish(snake({ name: 'wrong', sha256: 'a'.repeat(64) }))
  await assert.rejects(install('pypi:wrong'), { code: 'package_integrity_failed' })
})

test('a wheel puts nothing outside of its bundle', async t => {
  const { folder, index, install } = await setUp(t)
  const mark = join(folder, 'mark')
  const wheels: Record<string, Record<string, string>> = {
    up: { '../../../../../../mark': 'x', [`${'../'.repeat(12)}${mark.slice(1)}`]: 'x' },
    absolute: { [mark]: 'x' },
    data: { [`data-1.0.data/data/${'../'.repeat(12)}${mark.slice(1)}`]: 'x' },
    scripts: { [`scripts-1.0.data/scripts/${'../'.repeat(12)}${mark.slice(1)}`]: '#!python\n' },
  }
  for (const [name, files] of Object.entries(wheels)) {
    index.publish(snake({ name, files }))
    await assert.rejects(install(`pypi:${name}`), (error: Error & { code?: string }) => {
      assert.match(error.code ?? '', /package_integrity_failed|install_failed/, `${name}: ${error.message}`)
      return true
    })
    await assert.rejects(stat(mark), `${name} wrote outside`)
  }
  // RECORD lists files for who uninstalls; naming others' files must do nothing.
  await writeFile(mark, 'mine')
  index.publish(
    snake({ name: 'record', files: { 'record-1.0.dist-info/RECORD': `../../../../mark,,\n${mark},,\nsnake/server.py,,\n` } }),
  )
  await install('pypi:record').catch(() => {})
  assert.equal(await readFile(mark, 'utf8'), 'mine')
})

test('links in an archive lead nowhere, and of a name that is there twice one file is left', async t => {
  const { folder, index, install, bundleOf, say } = await setUp(t)
  const mark = join(folder, 'mark')
  await writeFile(mark, 'mine')
  const link = (path: string, target: string) => ({ path, bytes: Buffer.from(target), mode: 0o120777 })
  const file = (path: string, text: string) => ({ path, bytes: Buffer.from(text), mode: 0o100644 })
  // A link to a file, which would be read; a link to a folder and a file behind it, which would be written.
  index.publish(
    snake({ name: 'links', entries: [link('secret.txt', mark), link('way', folder), file('way/mark', 'theirs')] }),
    snake({ name: 'reader', entries: [link('secret.txt', mark), link('up', '../../../../..')] }),
    snake({
      name: 'twice',
      entries: [file('snake/server.py', pythonServer('', '"second"')), file('SNAKE/server.py', 'x = 1\n')],
    }),
  )
  await assert.rejects(install('pypi:links'), (error: Error & { code?: string }) => {
    assert.match(error.code ?? '', /package_integrity_failed|install_failed/, error.message)
    return true
  })
  const { release } = await install('pypi:reader')
  const left = join(bundleOf(release), '.maestro/site-packages/secret.txt')
  assert.ok((await lstat(left)).isFile())
  assert.equal(await readFile(left, 'utf8'), mark, 'the link is text, what it names was not read')
  assert.equal(await say((await install('pypi:twice')).release), 'second')
  assert.equal(await readFile(mark, 'utf8'), 'mine')
})

test('an archive that is larger than a bundle may be is not unpacked', async t => {
  const { folder, index, install } = await setUp(t)
  const bytes = Buffer.alloc(96 * 1024 * 1024)
  const deflated = deflateRawSync(bytes)
  const bomb = Array.from({ length: 50 }, (_, at) => ({ path: `bomb${at}`, bytes, deflated, mode: 0o100644 }))
  const claims = [1, 2].map(at => ({ path: `claim${at}`, bytes: Buffer.from('x'), sizeDeclared: 3 * 2 ** 30, mode: 0o100644 }))
  const metadata = { path: 'meta-1.0.dist-info/METADATA', bytes: Buffer.from('x'), sizeDeclared: 0xffff_fff0, mode: 0o100644 }
  index.publish(
    snake({ name: 'bomb', entries: bomb }),
    snake({ name: 'claims', entries: claims }),
    snake({ name: 'meta', entries: [metadata, metadata] }),
  )
  for (const name of ['bomb', 'claims', 'meta']) {
    await assert.rejects(install(`pypi:${name}`), (error: Error & { code?: string }) => {
      assert.equal(error.code, 'install_failed', `${name}: ${error.message}`)
      assert.match(error.message, /larger than a bundle may be/)
      return true
    })
  }
  // Half of it each, in two packages that need each other.
  index.publish(snake({ name: 'half', entries: bomb.slice(0, 25), metadata: ['Requires-Dist: other-half'] }), {
    name: 'other-half',
    version: '1.0',
    entries: bomb.slice(25),
  })
  await assert.rejects(install('pypi:half'), /larger than a bundle may be/)
  assert.deepEqual(await readdir(join(folder, 'data', 'staging')), [], 'nothing is left of what was tried')
})

test('a source archive behind an address in metadata is not even unpacked', async t => {
  const { folder, index, install } = await setUp(t)
  const mark = join(folder, 'mark')
  const sdist = tarOf({
    'source-1.0/PKG-INFO': 'Metadata-Version: 2.1\nName: source\nVersion: 1.0\n',
    'source-1.0/way': { link: folder },
    'source-1.0/way/mark': 'theirs',
    'source-1.0/setup.py': '',
  })
  index.publish({ name: 'source', version: '1.0', sdist: gzipSync(sdist) })
  const address = index.url.replace('/simple/', '/files/source-1.0.tar.gz')
  index.publish(snake({ name: 'address', metadata: [`Requires-Dist: source @ ${address}`] }))
  await assert.rejects(install('pypi:address'), (error: Error & { code?: string }) => {
    assert.equal(error.code, 'package_not_runnable', error.message)
    return true
  })
  assert.ok(index.requests.includes('/files/source-1.0.tar.gz'), 'pip had it in its hands')
  await assert.rejects(stat(mark), 'it wrote outside')
})

test('code that installing by hand would run is not run outside of a sandbox', async t => {
  const { folder, index, install, say } = await setUp(t)
  const mark = join(folder, 'ran')
  const evil = `import os\nopen(${JSON.stringify(mark)}, "w").write("ran")\n`
  // A .pth runs with every start of a Python that has the folder as its own; here that is the sandbox's alone.
  index.publish(
    snake({
      name: 'pth',
      files: { 'evil.pth': `import os; os.system("touch ${mark}")\n`, 'sitecustomize.py': evil, 'usercustomize.py': evil },
    }),
  )
  assert.equal(await say((await install('pypi:pth')).release), 'hello')
  await assert.rejects(stat(mark))

  const sdist = tarOf({
    'source-1.0/PKG-INFO': 'Metadata-Version: 2.1\nName: source\nVersion: 1.0\n',
    'source-1.0/setup.py': `${evil}from setuptools import setup\nsetup(name="source", version="1.0")\n`,
  })
  index.publish({ name: 'source', version: '1.0', sdist: gzipSync(sdist) })
  await assert.rejects(install('pypi:source'), { code: 'package_not_found' })
  await assert.rejects(stat(mark))

  // The metadata of a wheel may name any address; resolving it would build what is there.
  const address = index.url.replace('/simple/', '/files/source-1.0.tar.gz')
  index.publish(snake({ name: 'address', metadata: [`Requires-Dist: source @ ${address}`] }))
  await assert.rejects(install('pypi:address'), (error: Error & { code?: string }) => {
    assert.match(error.code ?? '', /package_not_runnable|package_integrity_failed/, error.message)
    return true
  })
  index.publish(snake({ name: 'gitty', metadata: [`Requires-Dist: source @ git+file://${folder}`] }))
  await assert.rejects(install('pypi:gitty'))
  await assert.rejects(stat(mark))
})

test('a folder runs as it lies: by its script, its usual file, its module, or what --bin names', async t => {
  const { index, install, say, folderOf } = await setUp(t)
  index.publish({ name: 'helper', version: '2.0', files: { 'helper.py': 'WORD = "helper"\n' } })
  const words = 'helper.WORD + " " + __name__'
  const plain = await folderOf('plain', {
    'requirements.txt': 'helper==2.*\n',
    'server.py': pythonServer('import helper, beside', words),
    'beside.py': '',
  })
  const first = await install(plain)
  assert.equal(await say(first.release), 'helper __main__')
  assert.equal((await install(plain)).installed, false)
  await writeFile(join(plain, 'beside.py'), 'x = 1\n')
  assert.notEqual((await install(plain)).release.digest, first.release.digest)

  const project = await folderOf('project', {
    'pyproject.toml':
      '[project]\nname = "my-server"\nversion = "0.3.0"\nrequires-python = ">=3.8"\ndependencies = ["helper>=1"]\n[project.scripts]\nmy-server = "my_server.app:main"\n',
    'src/my_server/__init__.py': '',
    'src/my_server/app.py': pythonServer(
      'import helper\nfrom importlib.metadata import version',
      'version("my-server") + " " + helper.WORD + " " + __name__',
    ),
    'src/my_server/__main__.py': pythonServer('', '"module " + __name__'),
    'tools/run.sh': '#!/bin/sh\nexec python3 -u "$(dirname "$0")/../other.py"\n',
    'other.py': pythonServer('', '"by a shell"'),
  })
  const { release } = await install(project)
  assert.deepEqual([release.name, release.version], ['my-server', '0.3.0'])
  assert.equal(await say(release), '0.3.0 helper my_server.app')
  assert.equal(await say((await install(project, { bin: 'my_server' })).release), 'module __main__')
  assert.equal(await say((await install(project, { bin: 'other.py' })).release), 'by a shell')
  const native = await install(project, { bin: 'tools/run.sh' })
  assert.deepEqual(native.release.program, { runtime: 'native', entry: 'tools/run.sh' })
  assert.equal(await say(native.release), 'by a shell')
  await assert.rejects(install(project, { bin: 'nothing' }), { code: 'package_not_runnable' })
  await assert.rejects(install(project, { bin: '../plain/server.py' }), { code: 'package_not_runnable' })

  const newer = await folderOf('newer', {
    'pyproject.toml': '[project]\nname = "newer"\nrequires-python = ">=3.99"\n',
    'main.py': '',
  })
  await assert.rejects(install(newer), /needs Python >=3.99/)
})

test('one file is a server: a script of the shell, of Node, of Python', async t => {
  const { folder, install, say } = await setUp(t)
  const write = async (name: string, text: string) => {
    await writeFile(join(folder, name), text)
    return join(folder, name)
  }
  const python = await install(await write('one.py', pythonServer('', '"alone"')))
  assert.deepEqual(python.release.source, { kind: 'file', path: join(folder, 'one.py') })
  assert.equal(await say(python.release), 'alone')
  const shell = await write(
    'shell-server',
    `#!/bin/sh
while read -r line; do
  id=$(printf %s "$line" | sed -n 's/.*"id":\\([0-9]*\\).*/\\1/p')
  case "$line" in
    *'"initialize"'*) body='"result":{"protocolVersion":"2025-11-25","serverInfo":{"name":"sh","version":"1"},"capabilities":{"tools":{}}}' ;;
    *tools/list*) body='"result":{"tools":[{"name":"say","inputSchema":{"type":"object"}}]}' ;;
    *tools/call*) body='"result":{"content":[{"type":"text","text":"in shell"}]}' ;;
    *) body='"error":{"code":-32601,"message":"Method not found"}' ;;
  esac
  [ -n "$id" ] && printf '{"jsonrpc":"2.0","id":%s,%s}\\n' "$id" "$body"
done
`,
  )
  await chmod(shell, 0o600)
  const native = await install(shell)
  assert.deepEqual(native.release.program, { runtime: 'native', entry: 'shell-server' })
  assert.equal(await say(native.release), 'in shell')
  assert.equal((await install(shell)).installed, false)
  await assert.rejects(install(await write('text', 'no program')), { code: 'package_not_runnable' })
})
