import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, describe, it } from 'node:test'
import { loaderFiles, loaderFolder } from '../sandbox/command.ts'
import { environmentLine, heldLine } from '../sandbox/held.ts'
import { quietWorld } from '../sandbox/testing/specimen.ts'
import { joinModules, NotOneFile } from './one-file.ts'

const root = realpathSync(mkdtempSync(join(tmpdir(), 'one-file-')))
after(() => rmSync(root, { recursive: true, force: true }))
let count = 0

interface Said {
  stdout: string
  stderr: string
  code: number | null
}

function run(args: readonly string[], input: string, env: Record<string, string> = {}): Promise<Said> {
  return new Promise(resolve => {
    const child = spawn(process.execPath, args, { env, stdio: 'pipe' })
    const said = { stdout: '', stderr: '' }
    child.stdout.on('data', chunk => (said.stdout += chunk))
    child.stderr.on('data', chunk => (said.stderr += chunk))
    child.stdin.on('error', () => {})
    child.on('close', code => resolve({ ...said, code }))
    child.stdin.end(input)
  })
}

function bundleOf(files: Record<string, string>): string {
  const folder = join(root, `bundle-${count++}`)
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
  return folder
}

async function prepare(bundle: string, entry: string): Promise<{ folder: string; text: string; dependencies: string[] }> {
  const joined = await joinModules(bundle, entry, quietWorld())
  const folder = join(root, `prepared-${count++}`)
  mkdirSync(folder)
  writeFileSync(join(folder, 'program.js'), joined.text)
  writeFileSync(join(folder, 'program.json'), JSON.stringify({ entry, ahead: joined.dependencies }))
  for (const name of loaderFiles) copyFileSync(join(loaderFolder, name), join(folder, name))
  return { folder, ...joined }
}

/** The program as it is and as one file, after the files it was made of were hidden or not. */
async function bothWays(files: Record<string, string>, entry: string, input = '', env: Record<string, string> = {}) {
  const bundle = bundleOf(files)
  const { folder, ...joined } = await prepare(bundle, entry)
  const plain = await run([join(bundle, entry), 'one', '-b'], input, env)
  const joinedSaid = await run([join(folder, 'start.cjs'), 'now', join(bundle, entry), 'one', '-b'], input, env)
  return { plain, joined: joinedSaid, folder, bundle, ...joined }
}

describe('a program joined into one file', { concurrency: false }, () => {
  it('sees the places of its own files, its arguments and its data', async () => {
    const { plain, joined } = await bothWays(
      {
        'package.json': '{"type":"module","name":"places","version":"7.1.0"}',
        'README.md': 'read me',
        'src/main.js': `#!/usr/bin/env node
          import { readFileSync } from 'node:fs'
          import { createRequire } from 'node:module'
          import { pathToFileURL } from 'node:url'
          import facts from '../package.json' with { type: 'json' }
          import old from './old.cjs'
          const require = createRequire(import.meta.url)
          await Promise.resolve()
          console.log(import.meta.url, import.meta.dirname, import.meta.filename, import.meta.main)
          console.log(import.meta.url === pathToFileURL(process.argv[1]).href, process.argv.slice(2), process.execArgv)
          console.log(readFileSync(new URL('../README.md', import.meta.url), 'utf8'), facts.version, require('../package.json').name)
          console.log(import.meta.resolve('./old.cjs'), old)`,
        'src/old.cjs': `module.exports = [__filename, __dirname, require.resolve('./main.js'), require.main === module]`,
      },
      'src/main.js',
    )
    assert.equal(plain.code, 0, plain.stderr)
    assert.deepEqual(joined, plain)
  })

  it('runs a module when it is asked for and not before, and the entry of a CommonJS program as the main one', async () => {
    const { plain, joined, dependencies } = await bothWays(
      {
        'node_modules/app/package.json': '{"name":"app"}',
        'node_modules/app/main.js': `'use strict'
          console.log('main', require.main === module, typeof this, (function () { return this })())
          const dep = require('dep')
          const name = ['./la', 'ter.js'].join('')
          import('late').then(late => console.log('late', late.default, late.named)).then(() => console.log(require(name)))
          try { require('not-there') } catch (error) { console.log(error.code) }
          console.log(dep.name, dep.constructor.name)`,
        'node_modules/app/later.js': 'module.exports = "computed " + __dirname',
        'node_modules/dep/package.json': '{"name":"dep","main":"i.js"}',
        'node_modules/dep/i.js': 'console.log("dep"); module.exports = new (class Dep { name = "dep" })()',
        'node_modules/late/package.json': '{"name":"late","type":"module","exports":"./m.js"}',
        'node_modules/late/m.js': 'console.log("late loads"); export default 1; export const named = 2',
      },
      'node_modules/app/main.js',
    )
    assert.equal(plain.code, 0, plain.stderr)
    assert.deepEqual(joined, plain)
    assert.deepEqual(dependencies, ['node_modules/late/m.js'], 'a file with a computed require keeps a require of its own')
  })

  it('ends as the program does when it throws', async () => {
    const { plain, joined } = await bothWays({ 'main.mjs': 'throw new TypeError("that was it")' }, 'main.mjs')
    assert.equal(plain.code, 1)
    assert.equal(joined.code, 1)
    assert.match(joined.stderr, /TypeError: that was it/)
  })

  it('takes in nothing from outside the bundle, whatever an import says', async () => {
    writeFileSync(join(root, 'secret.json'), '{"secret":"of-the-machine"}')
    writeFileSync(join(root, 'secret.js'), 'module.exports = "of-the-machine"')
    const bundle = bundleOf({
      'main.cjs': `
        const read = name => { try { return name() } catch (error) { return error.code } }
        read(() => require('../secret.json')); read(() => require('${join(root, 'secret.js')}'))
        read(() => require('secret')); import('../secret.js').catch(() => {})`,
      'tsconfig.json': `{"extends":"${join(root, 'secret.json')}"}`,
    })
    const { text } = await joinModules(bundle, 'main.cjs', quietWorld())
    assert.ok(!text.includes('of-the-machine'))
  })

  it('says why where it cannot be one', async () => {
    const broken = bundleOf({ 'main.mjs': 'const = 1' })
    await assert.rejects(joinModules(broken, 'main.mjs', quietWorld()), (error: Error) => {
      assert.ok(error instanceof NotOneFile)
      return /Expected identifier/.test(error.message)
    })
  })

  it('waits for its environment with its dependencies loaded, and takes no byte behind it', async () => {
    const bundle = bundleOf({
      'node_modules/app/main.mjs': `import 'dep'
        console.log('app', process.env.KEY)
        process.stdin.on('data', bytes => console.log('read', JSON.stringify(String(bytes))))`,
      'node_modules/dep/package.json': '{"name":"dep","main":"i.js"}',
      'node_modules/dep/i.js': 'console.log("dep", process.env.KEY)',
    })
    const { folder } = await prepare(bundle, 'node_modules/app/main.mjs')
    const KEY = `ä\n"'$(x)${'k'.repeat(70_000)}`
    const line = Buffer.from(environmentLine({ runtime: 'node', entry: '' }, { KEY })).toString('utf8')
    for (const [how, order] of [
      ['held', ['dep undefined', heldLine]],
      ['bare', [heldLine, `dep ${KEY}`]],
      ['plain', [heldLine, `dep ${KEY}`]],
    ] as const) {
      const args = [join(folder, 'start.cjs'), how, join(bundle, 'node_modules/app/main.mjs')]
      const { stdout, stderr } = await run(args, `${line}\n{"first":1}\n`)
      assert.equal(stdout, `${[...order, `app ${KEY}`, 'read "{\\"first\\":1}\\n"'].join('\n')}\n`, `${how}: ${stderr}`)
    }
  })

  it('ends when nobody wants it any more', async () => {
    const bundle = bundleOf({ 'main.mjs': 'console.log("ran")' })
    const { folder } = await prepare(bundle, 'main.mjs')
    const { stdout, code } = await run([join(folder, 'start.cjs'), 'held', join(bundle, 'main.mjs')], '')
    assert.deepEqual({ stdout, code }, { stdout: `${heldLine}\n`, code: 0 })
  })
})
