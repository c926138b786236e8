import assert from 'node:assert/strict'
import { duplexPair } from 'node:stream'
import { describe, it } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { GuestChannel, type GuestStart } from '../guest/channel.ts'
import { encodeFields, encodeHeader, fromGuest, toGuest } from '../guest/messages.ts'
import { quietWorld } from '../testing/specimen.ts'
import { prepareGuest } from './prepare-guest.ts'

const start: GuestStart = {
  command: ['/run/maestro/node', '/bundle/server.cjs'],
  env: { API_KEY: 'sk-secret-0123456789' },
  cwd: '/home/sandbox',
  limits: { memoryBytesMax: 1, pidsMax: 2, diskBytesMax: 3, openFilesMax: 4 },
  filter: Buffer.alloc(8),
  hold: false,
}

/** A guest that answers as told; keeps the bytes and types of what it hears. */
function meet(state: string, answersPing: boolean) {
  const [link, guest] = duplexPair()
  const heard: number[] = []
  const payloads: Buffer[] = []
  let rest = Buffer.alloc(0)
  const say = (type: number, payload: Buffer) => guest.write(Buffer.concat([encodeHeader(type, payload.length), payload]))
  guest.on('error', () => {})
  guest.on('data', (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk])
    while (rest.length >= 5 && rest.length >= 5 + rest.readUInt32LE(1)) {
      const payload = rest.subarray(5, 5 + rest.readUInt32LE(1))
      heard.push(rest[0]!)
      payloads.push(payload)
      if (rest[0] === toGuest.attach) {
        const fields: [string, string][] = [
          ['state', state],
          ['stdin', '1000'],
        ]
        say(fromGuest.ready, encodeFields(fields))
      }
      if (rest[0] === toGuest.ping && answersPing) say(fromGuest.pong, payload)
      rest = rest.subarray(5 + payload.length)
    }
  })
  return { channel: new GuestChannel(link), heard, payloads }
}

const settle = async () => {
  for (let turn = 0; turn < 20; turn++) await setImmediate()
}

describe('making a restored guest itself', () => {
  it('gives clock and entropy before anything of the session, and waits until both are taken', async () => {
    const { channel, heard, payloads } = meet('booted', true)
    await prepareGuest(channel, start, quietWorld())
    await settle()
    assert.deepEqual(heard, [toGuest.attach, toGuest.clock, toGuest.entropy, toGuest.ping, toGuest.start])
    const seconds = Number(payloads[1]!.readBigUInt64LE() / 1_000_000_000n)
    assert.ok(Math.abs(seconds - Date.now() / 1000) < 5)
    assert.equal(payloads[2]!.length, 64)
    assert.ok(payloads.slice(0, 4).every(payload => !payload.includes('sk-secret')))
  })

  it('lets a loaded program go on no sooner', async () => {
    const { channel, heard } = meet('held', true)
    await prepareGuest(channel, null, quietWorld())
    await settle()
    assert.deepEqual(heard, [toGuest.attach, toGuest.clock, toGuest.entropy, toGuest.ping, toGuest.resume])
    await assert.rejects(prepareGuest(meet('booted', true).channel, null, quietWorld()), /booted before/)
  })

  it('never gives the same entropy twice', async () => {
    const given: string[] = []
    for (let twin = 0; twin < 2; twin++) {
      const { channel, payloads } = meet('booted', true)
      await prepareGuest(channel, start, quietWorld())
      given.push(payloads[2]!.toString('hex'))
    }
    assert.notEqual(given[0], given[1])
  })

  it('tells nothing to a guest that does not say it has both', async () => {
    const { channel, heard } = meet('booted', false)
    const prepared = prepareGuest(channel, start, quietWorld())
    prepared.catch(() => {})
    await settle()
    assert.ok(!heard.includes(toGuest.start))
    channel.destroy()
    await assert.rejects(prepared, /the guest is gone/)
  })

  it('takes no guest that runs something already', async () => {
    const { channel, heard } = meet('running', true)
    await assert.rejects(prepareGuest(channel, start, quietWorld()), /running before it was told anything/)
    assert.deepEqual(heard, [toGuest.attach])
  })
})
