import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import test from 'node:test'
import { isRoot, path } from '../testing/databases.ts'
import { silent } from '../testing/samples.ts'
import { chooseServerUser } from './choose-server-user.ts'
import { type Binaries, chooseBinaries, findBinaries } from './find-binaries.ts'
import { prepareBinaries } from './prepare-binaries.ts'

const binaries = (origin: Binaries['origin'], version: string): Binaries => ({
  origin,
  version,
  major: Number.parseInt(version, 10),
  folder: `/${origin}/${version}`,
})
const [old, fifteen, seventeen, eighteen] = [
  binaries('system', '14.9'),
  binaries('system', '15.18'),
  binaries('system', '17.2'),
  binaries('embedded', '18.4'),
]

test('the newest system PostgreSQL comes first, the embedded one when there is none new enough', () => {
  assert.equal(chooseBinaries([seventeen, fifteen, eighteen], 'auto', null), seventeen)
  assert.equal(chooseBinaries([old, eighteen], 'auto', null), eighteen)
  assert.equal(chooseBinaries([seventeen, eighteen], 'embedded', null), eighteen)
  assert.equal(chooseBinaries([fifteen, eighteen], 'system', null), fifteen)
})

test('where there is none that will do, the message says what was found and how to get one', () => {
  assert.throws(() => chooseBinaries([old], 'auto', null), {
    code: 'store_unavailable',
    message: /system 14\.9.*apt-get install postgresql/s,
  })
  assert.throws(() => chooseBinaries([eighteen], 'system', null), { code: 'store_unavailable', message: /embedded 18\.4/ })
  assert.throws(() => chooseBinaries([], 'embedded', null), { code: 'store_unavailable', message: /Found here: none/ })
})

test('an existing database is run by its own major version, whatever is newer', () => {
  assert.equal(chooseBinaries([seventeen, fifteen, eighteen], 'auto', { major: 15, origin: 'system' }), fifteen)
  assert.equal(chooseBinaries([fifteen, eighteen], 'system', { major: 18, origin: 'embedded' }), eighteen)
  assert.throws(() => chooseBinaries([seventeen, eighteen], 'auto', { major: 15 }), {
    code: 'store_incompatible',
    message: /made by PostgreSQL 15.*Found here: system 17\.2, embedded 18\.4/,
  })
})

test('an existing database is run by what made it where two have its major version', () => {
  const system = binaries('system', '18.1')
  assert.equal(chooseBinaries([system, eighteen], 'auto', { major: 18, origin: 'embedded' }), eighteen)
  assert.equal(chooseBinaries([system, eighteen], 'auto', { major: 18, origin: 'system' }), system)
  assert.equal(chooseBinaries([system, eighteen], 'auto', { major: 18 }), system)
})

test('relative and empty parts of PATH are not searched', () => {
  assert.deepEqual(findBinaries(`:.:bin:${path}`), findBinaries(path))
})

const embedded = findBinaries(path).find(found => found.origin === 'embedded')

test('embedded binaries without links, in a folder the server’s user cannot enter, are copied and linked once', {
  skip: embedded ? !isRoot && 'needs root' : 'the embedded PostgreSQL is not installed',
}, () => {
  const folder = mkdtempSync(join(tmpdir(), 'maestro-binaries-'))
  const copies = mkdtempSync(join(tmpdir(), 'maestro-copies-'))
  const hidden = join(folder, 'native')
  cpSync(dirname(embedded!.folder), hidden, {
    recursive: true,
    filter: source => !/\.so(\.\d+)?$|\.a$/.test(source) || /postgresql/.test(source),
  })
  cpSync(join(dirname(embedded!.folder), 'lib'), join(hidden, 'lib'), {
    recursive: true,
    filter: source => !source.endsWith('.a'),
    verbatimSymlinks: true,
  })
  rmSync(copies, { recursive: true })
  const user = chooseServerUser(silent)
  const programs = prepareBinaries({ ...embedded!, folder: join(hidden, 'bin') }, user, copies)
  assert.equal(programs, join(copies, `postgresql-${embedded!.version}`, 'bin'))
  assert.equal(prepareBinaries({ ...embedded!, folder: join(hidden, 'bin') }, user, copies), programs)
  rmSync(folder, { recursive: true })
  rmSync(copies, { recursive: true })
})
