import type { Duplex } from 'node:stream'
import { fromGuest, GuestViolation, payloadBytesMax, relayConnectionsMax, relayWindowBytes, toGuest } from './messages.ts'

type Send = (type: number, ...payload: Uint8Array[]) => void

const numberBytes = 4

/**
 * Carries the connections of a sandbox in a guest to where they are judged: each that a program in there opens gets one of ours. The
 * guest is untrusted: it may have so many connections at once, and send so many bytes of each before ours has taken them.
 */
export class GuestRelay {
  readonly #send: Send
  readonly #dial: (() => Duplex) | null
  readonly #connections = new Map<number, Connection>()
  #last = 0
  #over = false

  constructor(send: Send, dial: (() => Duplex) | null) {
    this.#send = send
    this.#dial = dial
  }

  /** Takes a message of the guest; false where it is none of a connection. Throws `GuestViolation` for what no honest agent says. */
  take(type: number, payload: Buffer): boolean {
    if (type < fromGuest.relayOpen || type > fromGuest.relayCredit) return false
    if (payload.length < numberBytes) throw new GuestViolation('a connection without its number')
    const number = payload.readUInt32LE(0)
    const rest = payload.subarray(numberBytes)
    if (type === fromGuest.relayOpen) this.#open(number)
    const connection = this.#connections.get(number)
    if (!connection) throw new GuestViolation(`what is of no connection: ${number}`)
    if (type === fromGuest.relayData) connection.takeData(rest)
    else if (type === fromGuest.relayEnd) connection.takeEnd()
    else if (type === fromGuest.relayClose) connection.takeClose()
    else if (type === fromGuest.relayCredit) connection.takeCredit(rest)
    return true
  }

  /** Ends every connection. What the guest says of them later nobody hears. */
  close(): void {
    this.#over = true
    for (const connection of this.#connections.values()) connection.outer.destroy()
    this.#connections.clear()
  }

  #open(number: number): void {
    if (!this.#dial) throw new GuestViolation('a connection out of a sandbox that may have none')
    if (number <= this.#last) throw new GuestViolation('a connection with the number of another')
    if (this.#connections.size >= relayConnectionsMax) throw new GuestViolation('more connections than it may have')
    this.#last = number
    const name = Buffer.alloc(numberBytes)
    name.writeUInt32LE(number)
    const send: Send = (type, ...parts) => this.#over || this.#send(type, name, ...parts)
    this.#connections.set(number, new Connection(this.#dial(), send, () => this.#connections.delete(number)))
  }
}

/** Lives until both sides have said that they closed it, so its number never means two things, and who opens and closes waits for us. */
class Connection {
  readonly outer: Duplex
  readonly #send: Send
  readonly #forget: () => void
  /** What the guest may still send, and what it sent that ours has taken since it was last given credit. */
  #allowed = relayWindowBytes
  #taken = 0
  /** What we may still send, and what we sent that the guest gave no credit back for. */
  #credit = relayWindowBytes
  #owed = 0
  #ended = false
  #closedInside = false
  #closedOutside = false

  constructor(outer: Duplex, send: Send, forget: () => void) {
    this.outer = outer
    this.#send = send
    this.#forget = forget
    outer.on('error', () => {})
    outer.on('readable', () => this.#flow())
    outer.once('end', () => this.#send(toGuest.relayEnd))
    outer.once('close', () => {
      this.#closedOutside = true
      this.#send(toGuest.relayClose)
      if (this.#closedInside) this.#forget()
    })
  }

  takeData(bytes: Buffer): void {
    if (bytes.length === 0) throw new GuestViolation('no bytes of a connection')
    if (this.#ended || this.#closedInside) throw new GuestViolation('bytes of a connection after its end')
    this.#allowed -= bytes.length
    if (this.#allowed < 0) throw new GuestViolation('more of a connection than it may')
    // Of one that is closed out here the guest may not have heard yet: lost, as with any connection.
    if (!this.outer.destroyed) this.outer.write(bytes, failure => failure || this.#giveCredit(bytes.length))
  }

  takeEnd(): void {
    if (this.#ended || this.#closedInside) throw new GuestViolation('the end of a connection after its end')
    this.#ended = true
    this.outer.end()
  }

  takeClose(): void {
    if (this.#closedInside) throw new GuestViolation('a connection closed twice')
    this.#closedInside = true
    if (this.#closedOutside) this.#forget()
    // Where both have ended it closes by itself, once what was sent is out.
    else if (!this.#ended || !this.outer.readableEnded) this.outer.destroy()
  }

  takeCredit(payload: Buffer): void {
    const bytes = payload.length === 4 ? payload.readUInt32LE(0) : 0
    if (bytes === 0 || bytes > this.#owed) throw new GuestViolation('a credit for what was not sent')
    this.#owed -= bytes
    this.#credit += bytes
    this.#flow()
  }

  /** In larger amounts only: half a window is always left to the guest. */
  #giveCredit(bytes: number): void {
    this.#taken += bytes
    if (this.#taken < relayWindowBytes / 4 || this.#closedOutside || this.#closedInside) return
    const payload = Buffer.alloc(4)
    payload.writeUInt32LE(this.#taken)
    this.#allowed += this.#taken
    this.#taken = 0
    this.#send(toGuest.relayCredit, payload)
  }

  #flow(): void {
    if (this.#closedInside || this.#closedOutside) return
    while (this.#credit > 0 && this.outer.readableLength > 0) {
      const bytes = Math.min(this.#credit, this.outer.readableLength, payloadBytesMax - numberBytes)
      const chunk = this.outer.read(bytes) as Buffer | null
      if (!chunk) return
      this.#credit -= chunk.length
      this.#owed += chunk.length
      this.#send(toGuest.relayData, chunk)
    }
    // Reading nothing of an empty stream is how its end is heard.
    if (this.outer.readableLength === 0) this.outer.read(0)
  }
}
