import { constants } from 'node:os'
import { type Duplex, Readable, Writable } from 'node:stream'
import {
  decodeFields,
  encodeFields,
  encodeHeader,
  fromGuest,
  GuestViolation,
  MessageReader,
  payloadBytesMax,
  startBytesMax,
  streamNumber,
  toGuest,
} from './messages.ts'
import { GuestRelay } from './relay.ts'

/** What the agent is told to run. */
export interface GuestStart {
  /** Program and arguments, as paths inside. */
  command: readonly string[]
  env: Readonly<Record<string, string>>
  cwd: string
  limits: { memoryBytesMax: number; pidsMax: number; diskBytesMax: number; openFilesMax: number }
  /** The compiled system call filter of the program. */
  filter: Uint8Array
  /** Start it, let it come to rest and stop it there: `held` tells when. */
  hold: boolean
  /** It may reach the network, through the port that the agent then opens; `ca` is what it finds at `insideEgress.ca`. */
  egress?: { ca: Uint8Array | null }
}

/** What a channel is given beside its link. */
export interface GuestChannelOptions {
  /** Takes text of the agent for our log. Untrusted. */
  onLog?: (text: string) => void
  /** Makes the outer end of a connection that leaves the sandbox; a guest without it that wants one is ended. */
  dial?: () => Duplex
}

/** What an agent that was just attached to is doing. */
export type GuestState = 'booted' | 'held' | 'running'

/** How the program ended, or why nothing more is known of it. */
export interface GuestEnd {
  code: number | null
  signal: string | null
  limitReached: boolean
  /** What the guest said that no honest agent says, or that the connection ended before the program; null after an orderly end. */
  fault: string | null
}

/** Output that may be under way before anybody reads it, bytes. */
const stdoutWindowBytes = 256 * 1024
const stderrWindowBytes = 64 * 1024
const stdinCreditBytesMax = 1024 * 1024
const logBytesMax = 64 * 1024
/** Messages that need no credit: an agent says few of them, a guest that says many is not ours any more. */
const freeMessagesMax = 1000

const signalNames = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name]))

/**
 * One program in a guest, over one connected byte stream: the Unix socket of a virtio-serial port or of Firecracker's vsock. Everything
 * from the guest is untrusted; what is kept of it is bounded by the credit it was given. A frame costs no promise.
 */
export class GuestChannel {
  readonly stdin: Writable
  readonly stdout: Readable
  readonly stderr: Readable
  /** Settles when the program has ended, the guest misbehaves or the connection breaks. Never rejects. */
  readonly ended: Promise<GuestEnd>
  readonly #link: Duplex
  readonly #onLog: (text: string) => void
  readonly #relay: GuestRelay
  readonly #stdout = new Window(streamNumber.stdout, stdoutWindowBytes)
  readonly #stderr = new Window(streamNumber.stderr, stderrWindowBytes)
  #settleEnded: (end: GuestEnd) => void = () => {}
  #over = false
  #logBytes = 0
  #freeMessages = 0
  #stdinCredit = 0
  /** Input sent that the guest has given no credit back for. */
  #stdinOwed = 0
  #input: Buffer | null = null
  #holdsInput = false
  #inputTaken: () => void = () => {}
  #onReady: ((state: GuestState) => void) | null = null
  #onHeld: ((facts: ReadonlyMap<string, string>) => void) | null = null
  #pings = new Map<string, () => void>()
  #pingNumber = 0

  constructor(link: Duplex, { onLog = () => {}, dial }: GuestChannelOptions = {}) {
    this.#link = link
    this.#onLog = onLog
    this.#relay = new GuestRelay((type, ...parts) => this.#send(type, ...parts), dial ?? null)
    this.stdout = this.#makeReadable(this.#stdout)
    this.stderr = this.#makeReadable(this.#stderr)
    this.stdin = new Writable({
      highWaterMark: payloadBytesMax,
      write: (chunk: Buffer, _encoding, taken) => {
        this.#input = chunk
        this.#inputTaken = taken
        this.#sendInput()
      },
      final: done => {
        this.#send(toGuest.stdinEnd)
        done()
      },
      destroy: (cause, done) => {
        this.#input = null
        done(cause)
      },
    })
    this.ended = new Promise(resolve => {
      this.#settleEnded = resolve
    })
    const reader = new MessageReader({
      output: (type, bytes) => this.#takeOutput(type === fromGuest.stdout ? this.#stdout : this.#stderr, bytes),
      message: (type, payload) => this.#takeMessage(type, payload),
    })
    link.on('data', (chunk: Buffer) => {
      if (this.#over) return
      try {
        reader.push(chunk)
      } catch (cause) {
        if (!(cause instanceof GuestViolation)) throw cause
        this.#end({ code: null, signal: null, limitReached: false, fault: `the guest sent ${cause.message}` })
      }
    })
    link.on('error', () => {})
    link.once('close', () => this.#end({ code: null, signal: null, limitReached: false, fault: 'the guest is gone' }))
    link.once('end', () => link.destroy())
  }

  /**
   * Finds out what the agent is doing and lets output flow, or leaves it in the guest until the next attach: what a held program has
   * written is then said anew by every guest that is made from it. Rejects when the guest is gone first.
   */
  attach(output: 'flowing' | 'held' = 'flowing'): Promise<GuestState> {
    const credits = Buffer.alloc(8)
    for (const [index, window] of [this.#stdout, this.#stderr].entries()) {
      window.allowed = output === 'flowing' ? window.size : 0
      credits.writeUInt32LE(window.allowed, 4 * index)
    }
    const ready = new Promise<GuestState>(resolve => {
      this.#onReady = resolve
    })
    this.#send(toGuest.attach, credits)
    return this.#unlessOver(ready)
  }

  start({ command, env, cwd, limits, filter, hold, egress }: GuestStart): void {
    const payload = encodeFields([
      ...command.map(text => ['argument', text] as const),
      ...Object.entries(env).map(([name, value]) => ['env', `${name}=${value}`] as const),
      ['cwd', cwd],
      ...Object.entries(limits).map(([name, value]) => [name, String(value)] as const),
      ['filter', filter],
      ['hold', hold ? '1' : '0'],
      ...(egress ? [['relay', '1'] as const, ['ca', egress.ca ?? ''] as const] : []),
    ])
    if (payload.length > startBytesMax) throw new RangeError('the command line and environment are too long')
    this.#send(toGuest.start, payload)
  }

  /** What the agent saw of a program that was started to be held, once it is stopped. Rejects when it ends first. */
  held(): Promise<ReadonlyMap<string, string>> {
    return this.#unlessOver(
      new Promise(resolve => {
        this.#onHeld = resolve
      }),
    )
  }

  /** Lets a held program run. Clock and entropy must be given before: what the guest remembers of them it shares with its twins. */
  resume(): void {
    this.#send(toGuest.resume)
  }

  setClock(unixNs: bigint): void {
    const payload = Buffer.alloc(8)
    payload.writeBigUInt64LE(unixNs)
    this.#send(toGuest.clock, payload)
  }

  addEntropy(bytes: Uint8Array): void {
    this.#send(toGuest.entropy, bytes)
  }

  /** Resolves when everything said so far was done. Rejects when the guest is gone first. */
  ping(): Promise<void> {
    const token = Buffer.from(String(this.#pingNumber++))
    const answered = new Promise<void>(resolve => this.#pings.set(token.toString(), resolve))
    this.#send(toGuest.ping, token)
    return this.#unlessOver(answered)
  }

  /** Keeps input here, or lets it go: a machine that is told to stop still takes what comes until it has. */
  holdInput(hold: boolean): void {
    this.#holdsInput = hold
    this.#sendInput()
  }

  signal(name: NodeJS.Signals): void {
    this.#send(toGuest.signal, Buffer.of(constants.signals[name]))
  }

  destroy(): void {
    this.#link.destroy()
  }

  #unlessOver<T>(wanted: Promise<T>): Promise<T> {
    return Promise.race([
      wanted,
      this.ended.then(({ fault, code, signal }) => {
        throw new Error(fault ?? `the program ended with ${code ?? signal}`)
      }),
    ])
  }

  #makeReadable(window: Window): Readable {
    window.readable = new Readable({
      highWaterMark: window.size / 4,
      read: () => this.#giveCredit(window),
    })
    return window.readable
  }

  #takeOutput(window: Window, bytes: Buffer): void {
    window.allowed -= bytes.length
    if (window.allowed < 0) throw new GuestViolation('more output than it may')
    window.owed += bytes.length
    if (window.readable!.destroyed || window.readable!.push(bytes)) this.#giveCredit(window)
  }

  /** In larger amounts only: half a window is always left to the guest. */
  #giveCredit(window: Window): void {
    if (window.owed < window.size / 4) return
    const payload = Buffer.allocUnsafe(5)
    payload[0] = window.stream
    payload.writeUInt32LE(window.owed, 1)
    window.allowed += window.owed
    window.owed = 0
    this.#send(toGuest.credit, payload)
  }

  #sendInput(): void {
    while (this.#input && this.#stdinCredit > 0 && !this.#holdsInput) {
      const bytes = Math.min(this.#input.length, this.#stdinCredit, payloadBytesMax)
      const piece = this.#input.subarray(0, bytes)
      this.#input = bytes < this.#input.length ? this.#input.subarray(bytes) : null
      this.#stdinCredit -= bytes
      this.#stdinOwed += bytes
      if (bytes > 0) this.#send(toGuest.stdin, piece)
      if (!this.#input) this.#inputTaken()
    }
  }

  #takeMessage(type: number, payload: Buffer): void {
    // What it says of connections is bounded by their number and credit.
    if (this.#relay.take(type, payload)) return
    if (type !== fromGuest.credit && ++this.#freeMessages > freeMessagesMax) throw new GuestViolation('too many messages')
    switch (type) {
      case fromGuest.credit:
        this.#takeCredit(payload)
        break
      case fromGuest.ready:
        this.#takeReady(decodeFields(payload))
        break
      case fromGuest.exit:
        this.#takeExit(decodeFields(payload))
        break
      case fromGuest.held:
        this.#onHeld?.(decodeFields(payload))
        this.#onHeld = null
        break
      case fromGuest.pong:
        this.#takePong(payload.toString('latin1'))
        break
      case fromGuest.log:
        this.#logBytes += payload.length
        if (this.#logBytes <= logBytesMax) this.#onLog(payload.toString('utf8'))
    }
  }

  #takePong(token: string): void {
    const answered = this.#pings.get(token)
    if (!answered) throw new GuestViolation('an answer to no question')
    this.#pings.delete(token)
    this.#freeMessages--
    answered()
  }

  #takeReady(fields: ReadonlyMap<string, string>): void {
    const state = fields.get('state')
    const credit = Number(fields.get('stdin'))
    if (state !== 'booted' && state !== 'held' && state !== 'running') throw new GuestViolation('an unknown state')
    if (!Number.isInteger(credit) || credit < 0 || credit > stdinCreditBytesMax)
      throw new GuestViolation('a credit out of bounds')
    if (!this.#onReady) throw new GuestViolation('an answer to no question')
    this.#stdinCredit = credit
    this.#stdinOwed = 0
    this.#onReady(state)
    this.#onReady = null
    this.#sendInput()
  }

  #takeCredit(payload: Buffer): void {
    if (payload.length !== 5 || payload[0] !== streamNumber.stdin) throw new GuestViolation('a credit of nothing')
    const bytes = payload.readUInt32LE(1)
    // No more than it was sent can have been read; so what credit lets us send is bounded, and so is the number of credits.
    if (bytes === 0 || bytes > this.#stdinOwed) throw new GuestViolation('a credit for what was not sent')
    this.#stdinOwed -= bytes
    this.#stdinCredit += bytes
    this.#sendInput()
  }

  #takeExit(fields: ReadonlyMap<string, string>): void {
    const code = Number(fields.get('code') || NaN)
    const signal = Number(fields.get('signal') || NaN)
    this.#end({
      code: Number.isInteger(code) && code >= 0 && code <= 255 ? code : null,
      signal: signalNames.get(signal) ?? null,
      limitReached: fields.get('limit') === '1',
      fault: null,
    })
  }

  #end(end: GuestEnd): void {
    if (this.#over) return
    this.#over = true
    for (const readable of [this.stdout, this.stderr]) if (!readable.destroyed) readable.push(null)
    this.stdin.destroy()
    this.#relay.close()
    this.#settleEnded(end)
    if (end.fault) this.#link.destroy()
  }

  #send(type: number, ...payload: Uint8Array[]): void {
    if (this.#over || this.#link.destroyed || this.#link.writableEnded) return
    this.#link.cork()
    this.#link.write(
      encodeHeader(
        type,
        payload.reduce((bytes, part) => bytes + part.length, 0),
      ),
    )
    for (const part of payload) if (part.length > 0) this.#link.write(part)
    this.#link.uncork()
  }
}

/** The credit of one output stream. */
class Window {
  readonly stream: number
  readonly size: number
  readable: Readable | null = null
  /** What the guest may still send. */
  allowed = 0
  /** What came and was not allowed anew. */
  owed = 0

  constructor(stream: number, size: number) {
    this.stream = stream
    this.size = size
  }
}
