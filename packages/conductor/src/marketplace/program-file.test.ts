import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { programKind } from './program-file.ts'

/** The first bytes of an ELF file for a processor. */
function elf(machine: number): Buffer {
  const head = Buffer.alloc(64)
  head.write('\x7fELF\x02\x01\x01', 'latin1')
  head.writeUInt16LE(2, 16)
  head.writeUInt16LE(machine, 18)
  return head
}
const ours = process.arch === 'arm64' ? 0xb7 : 0x3e
const theirs = process.arch === 'arm64' ? 0x3e : 0xb7

test('a file is run by what its first bytes or its name say', async t => {
  const folder = await mkdtemp(join(tmpdir(), 'maestro-program-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const kindOf = async (name: string, content: string | Buffer) => {
    await writeFile(join(folder, name), content)
    return programKind(join(folder, name))
  }
  assert.equal(await kindOf('a', elf(ours)), 'native')
  assert.equal(await kindOf('b', '#!/bin/sh\necho'), 'native')
  assert.equal(await kindOf('c', '#!/usr/bin/env node\n'), 'node')
  assert.equal(await kindOf('d', '#!/usr/bin/env -S python3 -u\n'), 'python')
  assert.equal(await kindOf('e.mjs', 'export {}'), 'node')
  assert.equal(await kindOf('f.py', 'print(1)'), 'python')
  assert.equal(await kindOf('g', 'some text'), null)
  assert.equal(await kindOf('h', ''), null)
  assert.equal(await programKind(folder), null)
  assert.equal(await programKind(join(folder, 'nowhere')), null)
  for (const [name, content] of [
    ['other-processor', elf(theirs)],
    ['cut-off', elf(ours).subarray(0, 6)],
    ['homemade', '#!/home/somebody/interpreter\n'],
    ['unknown', '#!/usr/bin/env no-such-interpreter-here\n'],
  ] as const) {
    await assert.rejects(kindOf(name, content), { code: 'package_not_runnable' }, name)
  }
})
