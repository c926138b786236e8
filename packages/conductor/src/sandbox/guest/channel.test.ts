import assert from 'node:assert/strict'
import { duplexPair } from 'node:stream'
import { describe, it } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import fc from 'fast-check'
import { GuestChannel, type GuestStart } from './channel.ts'
import { encodeFields, encodeHeader, fromGuest, payloadBytesMax, streamNumber, toGuest } from './messages.ts'

const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31)

const start: GuestStart = {
  command: ['/run/maestro/node', '/bundle/server.cjs', ''],
  env: { GREETING: 'hi = "there"' },
  cwd: '/home/sandbox',
  limits: { memoryBytesMax: 1, pidsMax: 2, diskBytesMax: 3, openFilesMax: 4 },
  filter: Buffer.of(0, 255),
  hold: false,
}

/** The other end of a channel: what was said to it, and a voice. */
function meet() {
  const [link, guest] = duplexPair()
  const channel = new GuestChannel(link)
  const heard: { type: number; payload: Buffer }[] = []
  let rest = Buffer.alloc(0)
  guest.on('data', (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk])
    while (rest.length >= 5 && rest.length >= 5 + rest.readUInt32LE(1)) {
      const end = 5 + rest.readUInt32LE(1)
      heard.push({ type: rest[0]!, payload: rest.subarray(5, end) })
      rest = rest.subarray(end)
    }
  })
  guest.on('error', () => {})
  const say = (type: number, payload: Uint8Array = Buffer.alloc(0)) =>
    guest.write(Buffer.concat([encodeHeader(type, payload.length), payload]))
  return { channel, guest, heard, say, of: (type: number) => heard.filter(message => message.type === type) }
}

async function meetReady(stdinCredit = 1000) {
  const met = meet()
  const attached = met.channel.attach()
  met.say(
    fromGuest.ready,
    encodeFields([
      ['state', 'booted'],
      ['stdin', String(stdinCredit)],
    ]),
  )
  assert.equal(await attached, 'booted')
  return met
}

const settle = async () => {
  for (let turn = 0; turn < 20; turn++) await setImmediate()
}

const credit = (stream: number, bytes: number) => {
  const payload = Buffer.alloc(5)
  payload[0] = stream
  payload.writeUInt32LE(bytes, 1)
  return payload
}

describe('the channel to a guest', () => {
  it('asks what the agent does, says what to run, and tells how it ended', async () => {
    const { channel, say, of } = await meetReady()
    channel.setClock(1_800_000_000_000_000_123n)
    channel.addEntropy(Buffer.from('noise'))
    channel.start(start)
    channel.signal('SIGTERM')
    await settle()
    assert.deepEqual(of(toGuest.attach)[0]?.payload, Buffer.from([0, 0, 4, 0, 0, 0, 1, 0]))
    assert.equal(of(toGuest.clock)[0]?.payload.readBigUInt64LE(), 1_800_000_000_000_000_123n)
    assert.equal(of(toGuest.entropy)[0]?.payload.toString(), 'noise')
    assert.deepEqual(of(toGuest.signal)[0]?.payload, Buffer.of(15))
    assert.ok(of(toGuest.start)[0]?.payload.includes('GREETING=hi = "there"'))
    say(fromGuest.stdout, Buffer.from('last words'))
    say(
      fromGuest.exit,
      encodeFields([
        ['signal', '9'],
        ['limit', '1'],
      ]),
    )
    assert.deepEqual(await channel.ended, { code: null, signal: 'SIGKILL', limitReached: true, fault: null })
    assert.equal(Buffer.concat(await channel.stdout.toArray()).toString(), 'last words')
  })

  it('carries output as it came, cut anywhere', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 2000 })),
        fc.integer({ min: 1, max: 900 }),
        async (outputs, size) => {
          const { channel, guest, say } = await meetReady()
          const bytes = Buffer.concat(
            outputs.map((output, index) =>
              Buffer.concat([encodeHeader(index % 3 ? fromGuest.stdout : fromGuest.stderr, output.length), output]),
            ),
          )
          const [stdout, stderr] = [channel.stdout.toArray(), channel.stderr.toArray()]
          for (let at = 0; at < bytes.length; at += size) guest.write(bytes.subarray(at, at + size))
          say(fromGuest.exit, encodeFields([['code', '0']]))
          assert.deepEqual(Buffer.concat(await stdout), Buffer.concat(outputs.filter((_, index) => index % 3)))
          assert.deepEqual(Buffer.concat(await stderr), Buffer.concat(outputs.filter((_, index) => !(index % 3))))
          assert.deepEqual(await channel.ended, { code: 0, signal: null, limitReached: false, fault: null })
        },
      ),
      { seed, numRuns: 50 },
    )
  })

  it('sends no more input than the guest has room for, and goes on when it has', async () => {
    const { channel, say, of } = await meetReady(10)
    const sent = () => Buffer.concat(of(toGuest.stdin).map(({ payload }) => payload)).toString()
    channel.stdin.write('0123456789abcdef')
    channel.stdin.end('!')
    await settle()
    assert.equal(sent(), '0123456789')
    assert.equal(channel.stdin.writableLength, 17)
    say(fromGuest.credit, credit(streamNumber.stdin, 10))
    await settle()
    assert.equal(sent(), '0123456789abcdef!')
    assert.equal(of(toGuest.stdinEnd).length, 1)
  })

  it('keeps input back from a machine that shall stand still', async () => {
    const { channel, of } = await meetReady()
    channel.holdInput(true)
    channel.stdin.write('0123')
    await settle()
    assert.deepEqual([of(toGuest.stdin).length, channel.stdin.writableLength], [0, 4])
    channel.holdInput(false)
    await settle()
    assert.equal(Buffer.concat(of(toGuest.stdin).map(({ payload }) => payload)).toString(), '0123')
  })

  it('gives a guest new credit only as its output is read', async () => {
    const { channel, say, of } = await meetReady()
    const piece = Buffer.alloc(payloadBytesMax)
    for (let count = 0; count < 8; count++) say(fromGuest.stdout, piece)
    await settle()
    const granted = () => of(toGuest.credit).reduce((sum, { payload }) => sum + payload.readUInt32LE(1), 0)
    const early = granted()
    assert.ok(early <= 64 * 1024, `${early} bytes granted to nobody's reading`)
    channel.stdout.resume()
    await settle()
    assert.equal(granted(), 256 * 1024)
    channel.stdout.pause()
    for (let count = 0; count < 8; count++) say(fromGuest.stdout, piece)
    await settle()
    assert.ok(channel.stdout.readableLength <= 256 * 1024)
    say(fromGuest.stdout, piece)
    for (let count = 0; count < 3; count++) say(fromGuest.stdout, piece)
    assert.match((await channel.ended).fault ?? '', /more output than it may/)
  })

  it('leaves output in a guest that is held', async () => {
    const { channel, say } = meet()
    void channel.attach('held').catch(() => {})
    say(fromGuest.stdout, Buffer.of(1))
    assert.match((await channel.ended).fault ?? '', /more output than it may/)
  })

  it('ends a guest that speaks as no agent does', async () => {
    const lies: [type: number, payload: Uint8Array][] = [
      [0x42, Buffer.alloc(0)],
      [fromGuest.stdout, Buffer.alloc(0)],
      [fromGuest.log, Buffer.alloc(payloadBytesMax + 1)],
      [fromGuest.credit, credit(streamNumber.stdin, 1)],
      [fromGuest.credit, credit(streamNumber.stdout, 1)],
      [fromGuest.pong, Buffer.from('7')],
      [
        fromGuest.ready,
        encodeFields([
          ['state', 'booted'],
          ['stdin', '1'],
        ]),
      ],
      [fromGuest.exit, Buffer.from([9, 0, 0, 0, 1])],
    ]
    for (const [type, payload] of lies) {
      const { channel, say } = await meetReady()
      say(type, payload)
      assert.match((await channel.ended).fault ?? '', /^the guest sent /, `type ${type}`)
    }
    const { channel, say } = await meetReady()
    for (let count = 0; count < 2000; count++) say(fromGuest.log, Buffer.from('x'))
    assert.match((await channel.ended).fault ?? '', /too many messages/)
  })

  it('takes any bytes without an error of ours, and keeps little of them', async () => {
    const anything = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc
        .tuple(fc.constantFrom(...Object.values(fromGuest)), fc.uint8Array({ maxLength: 60 }))
        .map(([type, payload]) => Buffer.concat([encodeHeader(type, payload.length), payload])),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(anything, { maxLength: 40 }), async chunks => {
        const { channel, guest } = await meetReady()
        for (const chunk of chunks) guest.write(chunk)
        guest.end()
        channel.stdout.resume()
        channel.stderr.resume()
        const { code, fault } = await channel.ended
        assert.ok(fault !== null || code === null || code <= 255)
      }),
      { seed, numRuns: 200 },
    )
  })

  it('answers nobody who waits for a guest that went away', async () => {
    const { channel, guest } = await meetReady()
    const waits = [channel.ping(), channel.held(), channel.attach()]
    guest.destroy()
    for (const wait of waits) await assert.rejects(wait, /the guest is gone/)
    assert.equal((await channel.ended).fault, 'the guest is gone')
    channel.stdin.write('into nothing', () => {})
  })
})
