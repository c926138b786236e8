/**
 * Goal: limits, freezing and ending do in control groups of version 2 what they should.
 * Method: machines that still have version 1 cannot say, so the same code runs as root in a guest, on a kernel that has version 2 only.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { makeCpio } from '../guest/image/cpio.ts'
import { makeExt4 } from '../guest/image/ext4.ts'
import { findImage } from '../guest/image/guest-image.ts'
import { kernelArguments } from '../microvm/machine.ts'
import { MicrovmDriver } from '../microvm/microvm.ts'
import { guestPlace } from '../testing/guest-place.ts'
import { quietWorld } from '../testing/specimen.ts'

const guestMsMax = 300_000

const driver = new MicrovmDriver(quietWorld(), guestPlace)
const built = await driver.prepare().then(
  () => '',
  cause => String(cause),
)
await driver.close()
const image = findImage(guestPlace.data)

interface Answers {
  version: number
  controllers: string
  limits: { files: string[]; removed: boolean }
  memory: {
    before: { limitReached: boolean; bystanders: boolean; memoryBytes: boolean }
    end: string
    survived: boolean
    left: number
    limitReached: boolean
    events: Record<string, number>
    removed: boolean
  }
  pids: { most: number; limitReached: boolean; removed: boolean }
  cpu: { share: number; throttled: boolean; removed: boolean }
  freeze: {
    said: boolean
    stood: number
    whileFrozen: number
    goes: number
    wentOn: boolean
    end: string
    removed: boolean
  }
}

async function askGuest(): Promise<Answers> {
  const folder = mkdtempSync(join(tmpdir(), 'unified-'))
  after(() => rmSync(folder, { recursive: true, force: true }))
  const at = (name: string) => join(folder, name)
  const source = (name: string) => fileURLToPath(new URL(`./testing/${name}`, import.meta.url))
  mkdirSync(at('bundle'))
  // ESM, because the program awaits at its top; the name is what the guest's first process runs.
  await build({
    entryPoints: [source('ask-unified.ts')],
    outfile: at('bundle/program.mjs'),
    bundle: true,
    platform: 'node',
    format: 'esm',
  })
  await makeExt4(at('bundle'), at('bundle.ext4'), guestPlace.path)
  const init = makeCpio([{ path: 'init', kind: 'file', content: readFileSync(source('guest-init.pl')), executable: true }])
  // Of two archives in a row the kernel unpacks both, the later over the earlier.
  writeFileSync(at('initramfs'), Buffer.concat([readFileSync(image!.initramfs), init]))
  const disk = (file: string, id: string) => [
    ...[
      '-drive',
      `id=${id},file=${file},format=raw,if=none,readonly=on,file.locking=off`,
      '-device',
      `virtio-blk-device,drive=${id}`,
    ],
  ]
  const { stdout } = await promisify(execFile)(
    'qemu-system-x86_64',
    [
      ...[
        '-nodefaults',
        '-no-user-config',
        '-display',
        'none',
        '-no-reboot',
        '-M',
        'microvm,x-option-roms=off,isa-serial=on,rtc=on',
      ],
      ...['-accel', 'tcg', '-cpu', 'qemu64', '-m', '512M', '-smp', '1', '-serial', 'stdio'],
      ...['-kernel', image!.kernel, '-initrd', at('initramfs'), '-append', kernelArguments('tcg', false)],
      ...disk(image!.root, 'root'),
      ...disk(at('bundle.ext4'), 'bundle'),
    ],
    { timeout: guestMsMax, killSignal: 'SIGKILL', maxBuffer: 16 * 1024 * 1024 },
  )
  const line = /^unified: (.*)$/m.exec(stdout)?.[1]
  assert.ok(line, `the guest said nothing:\n${stdout.slice(-4000)}`)
  return JSON.parse(line)
}

describe('control groups of version 2, on a kernel that has no others', {
  skip: !image && `no guest image: ${built}`,
  timeout: 400_000,
}, () => {
  let asked: Promise<Answers> | null = null
  const answers = () => {
    asked ??= askGuest()
    return asked
  }

  it('are found, and turned on for what is below', async () => {
    const { version, controllers } = await answers()
    assert.equal(version, 2)
    for (const name of ['memory', 'pids', 'cpu']) assert.match(controllers, new RegExp(`\\b${name}\\b`))
  })

  it('take the limits as they are meant', async () => {
    const { limits } = await answers()
    assert.deepEqual(limits.files, [String(64 * 1024 * 1024), '0', '1', '8', '20000 100000'])
    assert.ok(limits.removed)
  })

  it('end the whole group when one of it takes too much memory, and tell', async () => {
    const { memory } = await answers()
    assert.deepEqual(memory.before, { limitReached: false, bystanders: true, memoryBytes: true })
    assert.deepEqual([memory.survived, memory.left, memory.limitReached], [false, 0, true], JSON.stringify(memory))
    assert.ok(memory.events['oom_kill']! > 0, JSON.stringify(memory.events))
    assert.ok(memory.removed)
  })

  it('refuse processes beyond their number, and tell', async () => {
    const { pids } = await answers()
    assert.ok(pids.most <= 8, `${pids.most}`)
    assert.ok(pids.limitReached && pids.removed)
  })

  it('give no more than their share of a processor', async () => {
    const { cpu } = await answers()
    assert.ok(cpu.share < 0.3 && cpu.throttled, JSON.stringify(cpu))
  })

  it('stand still, go on, and end where they stand', async () => {
    const { freeze } = await answers()
    assert.deepEqual([freeze.said, freeze.stood, freeze.goes, freeze.wentOn], [true, 1, 0, true], JSON.stringify(freeze))
    assert.ok(freeze.whileFrozen < 1000, `${freeze.whileFrozen} µs while frozen`)
    assert.deepEqual([freeze.end, freeze.removed], ['SIGKILL', true])
  })
})
