import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { GuestChannel } from '../../guest/channel.ts'
import { makeProbeBundle } from '../../testing/specimen.ts'
import { PlainGuest } from './plain-guest.ts'

const hasMke2fs = (() => {
  try {
    execFileSync('/sbin/mke2fs', ['-V'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})()

it('the stand-in of a guest shows when one is told to start before clock and entropy', {
  skip: hasMke2fs ? false : 'no mke2fs',
}, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'plain-guest-'))
  const bundle = makeProbeBundle()
  const image = join(folder, 'bundle.ext4')
  execFileSync('/sbin/mke2fs', ['-q', '-F', '-t', 'ext2', '-d', bundle.folder, image, '1024'])
  writeFileSync(join(folder, 'root'), JSON.stringify({ node: process.execPath }))
  try {
    for (const given of [[], ['clock'], ['entropy'], ['clock', 'entropy']]) {
      const guest = new PlainGuest(
        join(folder, `guest-${given.join('-')}`),
        { root: join(folder, 'root'), bundle: image, prepared: null },
        true,
      )
      const server = createServer(socket => guest.accept(socket)).listen(join(folder, `${given.join('-')}.sock`))
      const link = connect(join(folder, `${given.join('-')}.sock`))
      await once(link, 'connect')
      const channel = new GuestChannel(link)
      await channel.attach()
      if (given.includes('clock')) channel.setClock(BigInt(Date.now()) * 1_000_000n)
      if (given.includes('entropy')) channel.addEntropy(Buffer.alloc(64))
      channel.start({
        ...{ command: ['/run/maestro/node', '-e', 'process.exit(3)'], env: {}, cwd: '/home/sandbox', filter: Buffer.alloc(0) },
        ...{ hold: false, limits: { memoryBytesMax: 1 << 28, pidsMax: 64, diskBytesMax: 1 << 20, openFilesMax: 256 } },
      })
      const { code, fault } = await channel.ended
      if (given.length === 2) assert.equal(code, 3)
      else assert.equal(fault, 'the guest is gone', `given ${given}`)
      link.destroy()
      server.close()
    }
  } finally {
    bundle.remove()
    rmSync(folder, { recursive: true, force: true })
  }
})
