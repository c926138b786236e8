import assert from 'node:assert/strict'
import { type Duplex, duplexPair } from 'node:stream'
import { describe, it } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import fc from 'fast-check'
import { fromGuest, GuestViolation, payloadBytesMax, relayConnectionsMax, relayWindowBytes, toGuest } from './messages.ts'
import { GuestRelay } from './relay.ts'

const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31)

const numbers = (...values: number[]) => {
  const payload = Buffer.alloc(4 * values.length)
  for (const [index, value] of values.entries()) payload.writeUInt32LE(value, 4 * index)
  return payload
}
const data = (number: number, bytes: Uint8Array) => Buffer.concat([numbers(number), bytes])

/** A relay, what it said, and the far ends of what it dialled. */
function meet() {
  const said: { type: number; number: number; rest: Buffer }[] = []
  const [near, far]: [Duplex[], Duplex[]] = [[], []]
  const relay = new GuestRelay(
    (type, ...parts) => {
      const payload = Buffer.concat(parts)
      said.push({ type, number: payload.readUInt32LE(0), rest: payload.subarray(4) })
    },
    () => {
      const [ours, other] = duplexPair()
      near.push(ours)
      far.push(other)
      return ours
    },
  )
  const of = (type: number, number = 1) => said.filter(message => message.type === type && message.number === number)
  return { relay, near, far, of }
}

const settle = async () => {
  for (let turn = 0; turn < 20; turn++) await setImmediate()
}

describe('the relay of a guest', () => {
  it('carries a connection both ways, each end by itself, and forgets it when both sides have closed', async () => {
    const { relay, far, of } = meet()
    relay.take(fromGuest.relayOpen, numbers(1))
    relay.take(fromGuest.relayData, data(1, Buffer.from('question')))
    relay.take(fromGuest.relayEnd, numbers(1))
    assert.equal(Buffer.concat(await far[0]!.toArray({})).toString(), 'question')
    far[0]!.end('answer')
    await settle()
    assert.equal(Buffer.concat(of(toGuest.relayData).map(({ rest }) => rest)).toString(), 'answer')
    assert.deepEqual([of(toGuest.relayEnd).length, of(toGuest.relayClose).length], [1, 1])
    relay.take(fromGuest.relayClose, numbers(1))
    assert.throws(() => relay.take(fromGuest.relayClose, numbers(1)), GuestViolation)
  })

  it('sends no more than the guest has room for, and goes on when it has', async () => {
    const { relay, far, of } = meet()
    const bytes = () => of(toGuest.relayData).reduce((sum, { rest }) => sum + rest.length, 0)
    relay.take(fromGuest.relayOpen, numbers(1))
    far[0]!.write(Buffer.alloc(2 * relayWindowBytes))
    await settle()
    assert.equal(bytes(), relayWindowBytes)
    assert.ok(of(toGuest.relayData).every(({ rest }) => rest.length + 4 <= payloadBytesMax))
    relay.take(fromGuest.relayCredit, numbers(1, 1000))
    await settle()
    assert.equal(bytes(), relayWindowBytes + 1000)
    assert.throws(() => relay.take(fromGuest.relayCredit, numbers(1, relayWindowBytes + 1)), GuestViolation)
  })

  it('gives a guest new credit only as what it sent is taken', async () => {
    const { relay, far, of } = meet()
    const piece = Buffer.alloc(16 * 1024)
    relay.take(fromGuest.relayOpen, numbers(1))
    for (let sent = 0; sent < relayWindowBytes; sent += piece.length) relay.take(fromGuest.relayData, data(1, piece))
    await settle()
    const granted = () => of(toGuest.relayCredit).reduce((sum, { rest }) => sum + rest.readUInt32LE(0), 0)
    assert.ok(granted() <= relayWindowBytes / 2, `${granted()} bytes granted to nobody’s reading`)
    far[0]!.resume()
    await settle()
    assert.equal(granted(), relayWindowBytes)
    far[0]!.pause()
    const flood = async () => {
      for (let count = 0; count < 40; count++) {
        relay.take(fromGuest.relayData, data(1, piece))
        await settle()
      }
    }
    await assert.rejects(flood(), /more of a connection than it may/)
  })

  it('tells the guest of a connection that breaks outside, and takes what was under way', async () => {
    const { relay, near, of } = meet()
    relay.take(fromGuest.relayOpen, numbers(1))
    near[0]!.destroy()
    await settle()
    assert.equal(of(toGuest.relayClose).length, 1)
    relay.take(fromGuest.relayData, data(1, Buffer.of(1)))
    relay.take(fromGuest.relayClose, numbers(1))
    assert.throws(() => relay.take(fromGuest.relayData, data(1, Buffer.of(1))), /no connection/)
  })

  it('closes outside what broke inside', async () => {
    const { relay, far, of } = meet()
    relay.take(fromGuest.relayOpen, numbers(1))
    relay.take(fromGuest.relayClose, numbers(1))
    await settle()
    far[0]!.resume()
    await settle()
    assert.ok(far[0]!.readableEnded || far[0]!.destroyed)
    assert.equal(of(toGuest.relayClose).length, 1)
  })

  it('holds a guest to a number of connections at once, counting those it has not closed', async () => {
    const { relay, near } = meet()
    for (let number = 1; number <= relayConnectionsMax; number++) relay.take(fromGuest.relayOpen, numbers(number))
    near[0]!.destroy()
    await settle()
    assert.throws(() => relay.take(fromGuest.relayOpen, numbers(relayConnectionsMax + 1)), /more connections than it may have/)
    relay.take(fromGuest.relayClose, numbers(1))
    relay.take(fromGuest.relayOpen, numbers(relayConnectionsMax + 1))
    relay.close()
    assert.ok(near.every(connection => connection.destroyed))
  })

  it('refuses a guest that speaks as no agent does', () => {
    const lies: [type: number, payload: Buffer][][] = [
      [[fromGuest.relayOpen, Buffer.alloc(3)]],
      [[fromGuest.relayOpen, numbers(0)]],
      [
        [fromGuest.relayOpen, numbers(7)],
        [fromGuest.relayOpen, numbers(7)],
      ],
      [[fromGuest.relayData, data(9, Buffer.of(1))]],
      [
        [fromGuest.relayOpen, numbers(1)],
        [fromGuest.relayData, numbers(1)],
      ],
      [
        [fromGuest.relayOpen, numbers(1)],
        [fromGuest.relayEnd, numbers(1)],
        [fromGuest.relayData, data(1, Buffer.of(1))],
      ],
      [
        [fromGuest.relayOpen, numbers(1)],
        [fromGuest.relayEnd, numbers(1)],
        [fromGuest.relayEnd, numbers(1)],
      ],
      [
        [fromGuest.relayOpen, numbers(1)],
        [fromGuest.relayCredit, numbers(1, 1)],
      ],
    ]
    for (const lie of lies) {
      const { relay } = meet()
      assert.throws(() => {
        for (const [type, payload] of lie) relay.take(type, payload)
      }, GuestViolation)
    }
    assert.equal(meet().relay.take(fromGuest.pong, Buffer.alloc(0)), false)
    assert.throws(() => new GuestRelay(() => {}, null).take(fromGuest.relayOpen, numbers(1)), /may have none/)
  })

  it('takes any messages without an error of ours', async () => {
    const { relayOpen, relayData, relayEnd, relayClose, relayCredit } = fromGuest
    const message = fc.tuple(
      fc.constantFrom(relayOpen, relayData, relayEnd, relayClose, relayCredit),
      fc.integer({ min: 0, max: 4 }),
      fc.uint8Array({ maxLength: 20 }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(message, { maxLength: 40 }), async messages => {
        const { relay, far } = meet()
        for (const [type, number, rest] of messages) {
          try {
            relay.take(type, data(number, rest))
          } catch (failure) {
            assert.ok(failure instanceof GuestViolation)
          }
          far.at(-1)?.write('x', () => {})
        }
        await settle()
        relay.close()
      }),
      { seed, numRuns: 200 },
    )
  })
})
