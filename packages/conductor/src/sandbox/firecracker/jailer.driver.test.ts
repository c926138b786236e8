/** The stand-in of the jailer takes what is published and nothing else; so does what we send it. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { describe, it } from 'node:test'
import { promisify } from 'node:util'
import { signalTo } from '../processes.ts'
import { Jail, jailerCommand } from './jailer.ts'
import { makeFakes } from './testing/fakes.ts'

const identity = { id: 'sbx-0123456789', uid: 1_300_000_001, gid: 1_300_000_001 }
const bounds = { fileBytesMax: 1 << 20, openFilesMax: 256 }

describe('the jailer', { skip: process.platform === 'linux' && process.getuid?.() === 0 ? false : 'needs root' }, () => {
  const run = async (command: readonly string[]): Promise<string> => {
    try {
      await promisify(execFile)(command[0]!, command.slice(1), { timeout: 10_000 })
      return ''
    } catch (cause) {
      return (cause as { stderr: string }).stderr
    }
  }
  /** A jail whose program, instead of Firecracker, says which limits it has, and stays. */
  const withJail = async (
    use: (facts: { command: string[]; base: string; program: string; fakes: ReturnType<typeof makeFakes> }) => Promise<void>,
  ) => {
    const fakes = makeFakes()
    const base = mkdtempSync(join(tmpdir(), 'jailer-test-'))
    writeFileSync(
      fakes.programs.firecracker,
      '#!/bin/sh\necho "$(pwd) $(ulimit -n) $$ $*" > said\nexec sleep 60 >/dev/null 2>&1\n',
    )
    try {
      await use({
        command: jailerCommand(fakes.programs, base, identity, bounds),
        base,
        program: fakes.programs.firecracker,
        fakes,
      })
    } finally {
      fakes.remove()
      rmSync(base, { recursive: true, force: true })
    }
  }

  it('makes of our command a program in its jail, with its limits, in a process namespace of its own', () =>
    withJail(async ({ command, base, program }) => {
      const jail = await Jail.make(base, program, identity, { kernel: program })
      const child = run(command)
      const root = join(base, 'firecracker', identity.id, 'root')
      let said = ''
      for (let looks = 0; looks < 400 && !said; looks++) {
        await new Promise(done => setTimeout(done, 10))
        said = readdirSync(root).includes('said') ? readFileSync(join(root, 'said'), 'utf8') : ''
      }
      const [folder, openFiles, pid, ...args] = said.trim().split(' ')
      assert.deepEqual([folder, openFiles, pid], [root, '256', '1'])
      assert.ok(args.includes(`--id=${identity.id}`))
      assert.deepEqual(args.slice(-2), ['--api-sock', '/api.sock'])
      assert.equal(statSync(root).uid, identity.uid)
      assert.equal(statSync(jail.path('kernel')).ino, statSync(program).ino)
      signalTo(Number(readFileSync(jail.path('firecracker.pid'), 'utf8')), 'SIGKILL')
      await child
      await jail.remove()
      assert.deepEqual(readdirSync(join(base, 'firecracker')), [])
    }))

  it('is refused with an option that is not there, twice, without its value, or with a wrong one', () =>
    withJail(async ({ command }) => {
      const at = command.indexOf('--id')
      const slips: [string[], RegExp][] = [
        [command.toSpliced(at, 0, '--idd', 'x'), /wasn't expected/],
        [command.toSpliced(at, 0, '--seccomp-level', '2'), /wasn't expected/],
        [command.toSpliced(at, 0, '--id', 'other'), /more than once/],
        [command.toSpliced(at, 2), /'id' required/],
        [command.toSpliced(command.indexOf('--uid'), 2), /'uid' required/],
        [command.toSpliced(at + 1, 1), /requires a value/],
        [command.with(at + 1, 'sbx_0123'), /Invalid value of 'id'/],
        [command.with(at + 1, 'x'.repeat(65)), /Invalid value of 'id'/],
        [command.with(command.indexOf('--gid') + 1, '-1'), /Invalid value of 'gid'/],
        [command.with(command.indexOf('--resource-limit') + 1, 'nofile=3'), /Invalid value of 'resource-limit'/],
        [command.with(command.indexOf('--uid') + 1, '0'), /a jail for root is none/],
        [command.with(command.indexOf('--chroot-base-dir') + 1, '/nowhere'), /ENOENT|no such file/],
      ]
      for (const [slip, why] of slips) assert.match(await run(slip), why)
    }))

  it('is given a folder by the name of the program behind a link', () =>
    withJail(async ({ base, program }) => {
      const link = join(base, 'fc')
      symlinkSync(program, link)
      const jail = await Jail.make(base, link, identity, {})
      assert.ok(statSync(join(base, basename(program), identity.id, 'root')).isDirectory())
      await jail.remove()
    }))

  it('never puts a file where it could be written, nor leaves half a jail', () =>
    withJail(async ({ base, program }) => {
      await assert.rejects(Jail.make(base, program, identity, { kernel: program, root: '/nowhere' }), { code: 'ENOENT' })
      assert.deepEqual(readdirSync(join(base, 'firecracker')), [])
    }))
})
