/**
 * Goal: nothing a bundle holds leads out of it, neither when it is installed nor when it runs, and nothing that runs changes it.
 * Method: each trick works on a plain folder first; then the bundle is refused, or the sandbox gets nothing by it.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  cpSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { digestOf, sealBundle, verifyBundle } from '../../marketplace/bundle.ts'
import { startSpecimen } from '../testing/specimen.ts'
import { makeCells, python } from './cell.ts'
import { againstEach } from './subjects.ts'

const folder = mkdtempSync(join(tmpdir(), 'abuse-install-'))
const secret = join(folder, 'secret')
writeFileSync(secret, 'of the machine')
after(() => rmSync(folder, { recursive: true, force: true }))

/** A staged package of one file, and what a test puts beside it. */
function stage(put: (staged: string) => void): string {
  const staged = mkdtempSync(join(folder, 'staged-'))
  writeFileSync(join(staged, 'index.js'), '')
  put(staged)
  return staged
}

const run = promisify(execFile)

describe('installing a bundle', () => {
  const outward: [title: string, put: (staged: string) => void][] = [
    ['an absolute link to a file', staged => symlinkSync(secret, join(staged, 'link'))],
    ['a relative link to a file', staged => symlinkSync('../secret', join(staged, 'link'))],
    ['a link to a folder above', staged => symlinkSync('..', join(staged, 'link'))],
    [
      'a link by way of another link',
      staged => {
        mkdirSync(join(staged, 'a'))
        symlinkSync('..', join(staged, 'a', 'up'))
        symlinkSync('a/up/../secret', join(staged, 'link'))
      },
    ],
    ['a link through the process’s own folder', staged => symlinkSync('/proc/self/cwd', join(staged, 'link'))],
  ]
  for (const [title, put] of outward) {
    it(`refuses ${title}`, async () => {
      const staged = stage(put)
      // Followed plainly, it leads out.
      assert.ok(!statSync(join(staged, 'link')).isSymbolicLink() && existsSync(join(staged, 'link')))
      await assert.rejects(sealBundle(staged, join(folder, 'bundles')), { code: 'package_integrity_failed' })
    })
  }

  it('refuses devices, pipes and sockets', async () => {
    const kinds: [string, (path: string) => Promise<unknown>][] = [
      ['pipe', path => run('mkfifo', [path])],
      [
        'socket',
        async path => {
          const listener = createServer().listen(path)
          await once(listener, 'listening')
          listener.unref()
        },
      ],
    ]
    if (process.getuid?.() === 0) kinds.push(['device', path => run('mknod', [path, 'c', '1', '3'])])
    for (const [name, make] of kinds) {
      const staged = stage(() => {})
      await make(join(staged, name))
      assert.ok(!lstatSync(join(staged, name)).isFile())
      await assert.rejects(sealBundle(staged, join(folder, 'bundles')), { code: 'package_integrity_failed' }, name)
    }
  })

  it('takes away the bit that changes the user', async () => {
    const staged = stage(path => {
      writeFileSync(join(path, 'root'), '#!/bin/sh\n')
      chmodSync(join(path, 'root'), 0o6755)
    })
    assert.equal(statSync(join(staged, 'root')).mode & 0o6000, 0o6000)
    const bundle = await sealBundle(staged, join(folder, 'bundles'))
    assert.equal(statSync(join(bundle.folder, 'root')).mode & 0o7777, 0o555)
  })

  it('tells files apart whose names play tricks', async () => {
    const names = [
      'a\nb',
      'a\\nb',
      'a b',
      ' a',
      'A',
      'a',
      '..a',
      '.',
      '-rf',
      '\u202Ecod.js',
      'a\u0301',
      '\u00e1',
      '"',
      "'",
      '$(id)',
      '%00',
    ].filter(name => name !== '.')
    const digests = new Set<string>()
    for (const name of names) {
      const staged = stage(path => writeFileSync(join(path, name), 'x'))
      assert.ok(readdirSync(staged).includes(name))
      const bundle = await sealBundle(staged, join(folder, 'bundles'))
      digests.add(bundle.digest)
      assert.ok(await verifyBundle(bundle.folder, bundle.digest), name)
    }
    assert.equal(digests.size, names.length)
  })

  it('does not take one tree for another: a name that looks like an entry', async () => {
    const one = stage(path => {
      mkdirSync(join(path, 'a'))
      writeFileSync(join(path, 'a', 'b'), '')
    })
    const other = stage(path => writeFileSync(join(path, 'a","b'), ''))
    assert.notEqual(await digestOf(one), await digestOf(other))
  })

  it('ends with a code for a tree that is too deep, and not with a full stack', async () => {
    const staged = stage(() => {})
    const deep = `import os\nos.chdir(${JSON.stringify(staged)})\nfor n in range(3000):\n    os.mkdir("deeper"); os.chdir("deeper")`
    // Plainly it can be made, and is deeper than a path can be long.
    await run(python, ['-c', deep])
    await assert.rejects(sealBundle(staged, join(folder, 'bundles')), { code: 'install_failed' })
    await run('rm', ['-rf', staged])
  })
})

await againstEach('a bundle that plays tricks', subject => {
  const cells = makeCells(subject)

  it('cannot be read through: a link that leads out after all', async () => {
    symlinkSync(secret, join(cells.bundle, 'link'))
    symlinkSync('../../../../../../../../etc/shadow', join(cells.bundle, 'shadow'))
    symlinkSync('/proc/1/root/etc/shadow', join(cells.bundle, 'init'))
    assert.equal(readFileSync(join(cells.bundle, 'link'), 'utf8'), 'of the machine')
    await cells.using(async specimen => {
      for (const name of ['link', 'shadow', 'init']) {
        assert.match(
          JSON.stringify(await specimen.ask(`return require("node:fs").readFileSync("/bundle/${name}", "utf8")`)),
          /ENOENT|EACCES|EPERM/,
          name,
        )
      }
    })
  })

  it('cannot open a device that lies in it', async context => {
    if (process.getuid?.() !== 0) return context.skip('only root can make one')
    const device = join(cells.bundle, 'device')
    // The source of zeros: the same on every machine, and harmless.
    await run('mknod', ['-m', '666', device, 'c', '1', '5'])
    const { stdout } = await run('head', ['-c', '3', device])
    assert.equal(stdout, '\0\0\0')
    await cells.using(async specimen => {
      const read =
        'const fs = require("node:fs"); const bytes = Buffer.alloc(3, 1); fs.readSync(fs.openSync("/bundle/device", "r"), bytes); return [...bytes]'
      const said = await specimen.ask(read)
      // gVisor opens what has this number in its own kernel: not the machine's.
      if (!subject.ownKernel || !Array.isArray(said)) assert.match(JSON.stringify(said), /EACCES|EPERM|ENXIO|ENODEV/)
    })
  })

  it('cannot be written to: by links, by remounting, by its own descriptors, by a second name', async () => {
    const before = await digestWithoutTricks(cells.bundle)
    const plain = mkdtempSync(join(folder, 'plain-'))
    cpSync(join(cells.bundle, 'probe.cjs'), join(plain, 'probe.cjs'))
    linkSync(join(plain, 'probe.cjs'), join(plain, 'second'))
    writeFileSync(join(plain, 'second'), 'changed')
    assert.equal(readFileSync(join(plain, 'probe.cjs'), 'utf8'), 'changed')
    await cells.using(async specimen => {
      const tries = [
        'fs.linkSync("/bundle/probe.cjs", "/tmp/second"); fs.writeFileSync("/tmp/second", "x")',
        'fs.linkSync("/bundle/probe.cjs", "/bundle/second")',
        'fs.renameSync("/bundle/probe.cjs", "/bundle/other")',
        'fs.chmodSync("/bundle/probe.cjs", 0o777)',
        'fs.utimesSync("/bundle/probe.cjs", 0, 0)',
        'fs.truncateSync("/bundle/probe.cjs")',
        'fs.mkdirSync("/bundle/new")',
        'fs.symlinkSync("/tmp", "/bundle/new")',
        'fs.writeFileSync("/proc/self/fd/" + fs.openSync("/bundle/probe.cjs", "r"), "x")',
        'fs.writeFileSync("/proc/self/root/bundle/probe.cjs", "x")',
        'require("node:child_process").execFileSync("mount", ["-o", "remount,rw,bind", "/bundle"], { stdio: "ignore" })',
        'require("node:child_process").execFileSync("mount", ["--bind", "/tmp", "/bundle"], { stdio: "ignore" })',
        'require("node:child_process").execFileSync("umount", ["/bundle"], { stdio: "ignore" })',
      ]
      for (const code of tries) {
        const said = await specimen.ask<{ error?: string } | null>(`const fs = require("node:fs"); ${code}`)
        assert.ok(said?.error, `${code} worked`)
      }
    })
    assert.equal(await digestWithoutTricks(cells.bundle), before)
  })

  it('starts nothing outside of it: an entry that climbs out finds what is inside only', async () => {
    const outside = join(cells.bundle, '..', 'abuse-outside.cjs')
    writeFileSync(outside, 'console.log("{}")')
    try {
      const { stdout } = await run(process.execPath, [join(cells.bundle, '../abuse-outside.cjs')])
      assert.equal(stdout, '{}\n')
      const started = await startSpecimen(cells.driver, cells.bundle, {
        program: { runtime: 'node', entry: '../abuse-outside.cjs' },
      }).then(
        async specimen => (await specimen.sandbox.exited).reason,
        failure => failure.code,
      )
      assert.match(started, /^sandbox_(crashed|start_failed)$/)
    } finally {
      rmSync(outside)
    }
  })
})

/** The digest of the programs alone: tests put links beside them that a bundle may not hold. */
async function digestWithoutTricks(bundle: string): Promise<string> {
  const copy = mkdtempSync(join(folder, 'copy-'))
  for (const name of readdirSync(bundle)) if (/\.(py|cjs)$/.test(name)) cpSync(join(bundle, name), join(copy, name))
  return digestOf(copy)
}
