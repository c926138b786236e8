/** The relay of `guest/relay.pl` for a guest that is an ordinary process, on the loopback of its jail. */
import { execFileSync } from 'node:child_process'
import { createServer, type Socket } from 'node:net'
import { fromGuest, payloadBytesMax, relayWindowBytes, toGuest } from '../../guest/messages.ts'

const port = 3128

type Say = (type: number, payload: Uint8Array) => void

interface Connection {
  socket: Socket
  credit: number
  saidClose: boolean
  heardClose: boolean
}

const u32 = (...values: number[]) => {
  const payload = Buffer.alloc(4 * values.length)
  for (const [index, value] of values.entries()) payload.writeUInt32LE(value, 4 * index)
  return payload
}

export class PlainRelay {
  readonly #say: Say
  readonly #open = new Map<number, Connection>()
  #last = 0

  constructor(say: Say) {
    this.#say = say
    // Up and running, as the agent makes it (SIOCSIFFLAGS): Node has no call for that.
    execFileSync('perl', ['-e', 'my $lo = pack("a16 S x22", "lo", 0x41); socket(S, 2, 1, 0) and ioctl(S, 0x8914, $lo) or die $!'])
    createServer({ allowHalfOpen: true }, socket => this.#begin(socket)).listen(port, '127.0.0.1')
  }

  /** Whether the message was of a connection. */
  take(type: number, payload: Buffer): boolean {
    if (type < toGuest.relayData || type > toGuest.relayCredit) return false
    const number = payload.readUInt32LE(0)
    const one = this.#open.get(number)
    if (!one) return true
    if (type === toGuest.relayData) {
      const bytes = Buffer.from(payload.subarray(4))
      one.socket.write(bytes, failure => failure || one.saidClose || this.#say(fromGuest.relayCredit, u32(number, bytes.length)))
    } else if (type === toGuest.relayEnd) one.socket.end()
    else if (type === toGuest.relayCredit) {
      one.credit += payload.readUInt32LE(4)
      this.#flow(number, one)
    } else {
      one.heardClose = true
      if (one.saidClose) this.#open.delete(number)
      else one.socket.destroySoon()
    }
    return true
  }

  #begin(socket: Socket): void {
    const number = ++this.#last
    const one: Connection = { socket, credit: relayWindowBytes, saidClose: false, heardClose: false }
    this.#open.set(number, one)
    this.#say(fromGuest.relayOpen, u32(number))
    socket.on('error', () => {})
    socket.on('readable', () => this.#flow(number, one))
    socket.once('end', () => this.#say(fromGuest.relayEnd, u32(number)))
    socket.once('close', () => {
      one.saidClose = true
      this.#say(fromGuest.relayClose, u32(number))
      if (one.heardClose) this.#open.delete(number)
    })
  }

  #flow(number: number, one: Connection): void {
    while (one.credit > 0 && one.socket.readableLength > 0) {
      const bytes = one.socket.read(Math.min(one.credit, payloadBytesMax - 4, one.socket.readableLength)) as Buffer | null
      if (!bytes) return
      one.credit -= bytes.length
      this.#say(fromGuest.relayData, Buffer.concat([u32(number), bytes]))
    }
    // Reading nothing of an empty stream is how its end is heard.
    if (one.socket.readableLength === 0) one.socket.read(0)
  }
}
