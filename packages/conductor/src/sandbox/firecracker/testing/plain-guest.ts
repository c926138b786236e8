/**
 * Stands in for a guest with its agent: speaks the protocol of `guest/messages.ts` and runs the program as an ordinary child process,
 * from the image of the bundle that its drive holds. One that was restored starts nothing before it was given a clock and entropy.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { constants } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import {
  encodeFields,
  encodeHeader,
  fromGuest,
  headerBytes,
  payloadBytesMax,
  startBytesMax,
  streamNumber,
  toGuest,
} from '../../guest/messages.ts'
import { shimmed } from '../../shim.ts'
import { PlainRelay } from './plain-relay.ts'

const twinPath = fileURLToPath(new URL('../../guest/twin.cjs', import.meta.url))
const stdinWindow = 256 * 1024
const drainMsMax = 1000

interface Start {
  command: string[]
  env: Record<string, string>
  cwd: string
  memoryBytesMax: number
  openFilesMax: number
  hold: boolean
  relay: boolean
  ca: string
}

export class PlainGuest {
  /** A guest that took its machine over: a snapshot of it is a link to there. */
  readonly storesLinkTo: string | null
  readonly #folder: string
  readonly #node: string
  readonly #restored: boolean
  readonly #bundle: string
  readonly #prepared: string | null
  #state: 'booted' | 'held' | 'running' = 'booted'
  /** What a held program was started with. */
  #held: Buffer | null = null
  #link: Socket | null = null
  #heard = Buffer.alloc(0)
  #credit = { [streamNumber.stdout]: 0, [streamNumber.stderr]: 0 }
  #child: ChildProcess | null = null
  #stdinOpen = 0
  #hasClock = false
  #hasEntropy = false
  #paused = false
  #relay: PlainRelay | null = null

  /** `root` says in JSON which Node the guest has; `bundle` and `prepared` are file system images. All as the drives of the machine. */
  constructor(
    folder: string,
    drives: { root: string; bundle: string; prepared: string | null },
    restored: boolean,
    held: Buffer | null = null,
  ) {
    this.#folder = folder
    this.#restored = restored
    this.#bundle = drives.bundle
    this.#prepared = drives.prepared
    this.#held = held
    if (held) this.#state = 'held'
    const facts = JSON.parse(readFileSync(drives.root, 'utf8'))
    this.#node = facts.node
    this.storesLinkTo = facts.storesLinkTo ?? null
    for (const name of ['bundle', 'prepared', 'home', 'tmp']) mkdirSync(join(folder, name), { recursive: true })
  }

  /** What a snapshot stores of it: nothing while the agent waits, what to run where a program is held. */
  get held(): Buffer | null {
    return this.#held
  }

  get state(): 'booted' | 'held' | 'running' {
    return this.#state
  }

  accept(link: Socket): void {
    this.#link?.destroy()
    this.#link = link
    this.#heard = Buffer.alloc(0)
    this.#credit = { [streamNumber.stdout]: 0, [streamNumber.stderr]: 0 }
    link.on('data', (chunk: Buffer) => this.#hear(chunk))
    link.on('error', () => {})
    link.once('close', () => {
      if (this.#link === link) this.#link = null
    })
  }

  /** A machine that is paused hears, says and does nothing. */
  setPaused(paused: boolean): void {
    this.#paused = paused
    if (paused) this.#link?.pause()
    else this.#link?.resume()
    if (this.#child?.pid && this.#child.exitCode === null) process.kill(-this.#child.pid, paused ? 'SIGSTOP' : 'SIGCONT')
    this.#sayOutput()
  }

  /** What a snapshot does to connections. */
  dropLink(): void {
    this.#link?.destroy()
  }

  #hear(chunk: Buffer): void {
    this.#heard = Buffer.concat([this.#heard, chunk])
    while (this.#heard.length >= headerBytes) {
      const length = this.#heard.readUInt32LE(1)
      if (length > startBytesMax) {
        this.dropLink()
        return
      }
      if (this.#heard.length < headerBytes + length) return
      const type = this.#heard[0]!
      const payload = this.#heard.subarray(headerBytes, headerBytes + length)
      this.#heard = this.#heard.subarray(headerBytes + length)
      this.#take(type, payload)
    }
  }

  #take(type: number, payload: Buffer): void {
    if (this.#relay?.take(type, payload)) return
    switch (type) {
      case toGuest.attach:
        this.#credit = { [streamNumber.stdout]: payload.readUInt32LE(0), [streamNumber.stderr]: payload.readUInt32LE(4) }
        this.#say(
          fromGuest.ready,
          encodeFields([
            ['state', this.#state],
            ['stdin', String(stdinWindow - this.#stdinOpen)],
          ]),
        )
        return
      case toGuest.clock:
        this.#hasClock = payload.readBigUInt64LE() > 1_700_000_000_000_000_000n
        return
      case toGuest.entropy:
        this.#hasEntropy = payload.length >= 32
        return
      case toGuest.ping:
        this.#say(fromGuest.pong, payload)
        return
      case toGuest.start:
        this.#beStarted(Buffer.from(payload))
        return
      case toGuest.resume:
        if (this.#held && this.#mayStart()) this.#start(readStart(this.#held))
        return
      case toGuest.stdin:
        this.#takeInput(payload)
        return
      case toGuest.stdinEnd:
        this.#child?.stdin?.end()
        return
      case toGuest.signal:
        this.#child?.kill(payload[0]! as unknown as NodeJS.Signals)
        return
      case toGuest.credit:
        this.#credit[payload[0] as 1 | 2] += payload.readUInt32LE(1)
        this.#sayOutput()
    }
  }

  /** Ordinary processes cannot be stored, so one that shall be held is not started before it goes on. */
  #beStarted(payload: Buffer): void {
    const start = readStart(payload)
    if (start.hold) {
      this.#held = payload
      this.#state = 'held'
      this.#say(fromGuest.held, encodeFields([['program', 'rests']]))
    } else if (this.#mayStart()) this.#start(start)
  }

  #mayStart(): boolean {
    if (!this.#restored || (this.#hasClock && this.#hasEntropy)) return true
    this.#say(fromGuest.log, Buffer.from('told to start before clock and entropy were given'))
    this.#link?.end()
    return false
  }

  #start(start: Start): void {
    for (const [name, image] of Object.entries({ bundle: this.#bundle, prepared: this.#prepared })) {
      const command = ['-R', `rdump / ${join(this.#folder, name)}`, image ?? '']
      if (image) execFileSync('/sbin/debugfs', command, { stdio: ['ignore', 'ignore', 'pipe'] })
    }
    this.#state = 'running'
    if (start.relay) this.#relay = new PlainRelay((type, bytes) => this.#say(type, bytes))
    const ca = join(this.#folder, 'egress-ca.pem')
    if (start.ca) writeFileSync(ca, start.ca)
    const inside = (text: string) =>
      text
        .replace(/^\/run\/maestro\/egress-ca\.pem$/, ca)
        .replace(/^\/run\/maestro\/twin\.cjs$/, twinPath)
        .replace(/^\/bundle(?=\/|$)/, join(this.#folder, 'bundle'))
        .replace(/^\/prepared(?=\/|$)/, join(this.#folder, 'prepared'))
        .replace(/^\/run\/maestro\/node$/, this.#node)
        .replace(/^\/home\/sandbox$/, join(this.#folder, 'home'))
        .replace(/^\/tmp$/, join(this.#folder, 'tmp'))
    const env = Object.fromEntries(Object.entries(start.env).map(([name, value]) => [name, inside(value)]))
    const limits = { openFilesMax: start.openFilesMax, memoryBytesMax: start.memoryBytesMax }
    const [program, ...args] = shimmed([], limits, start.command.map(inside))
    const child = spawn(program!, args, { cwd: inside(start.cwd), env, detached: true })
    this.#child = child
    child.stdin!.on('error', () => {})
    for (const stream of [child.stdout!, child.stderr!]) stream.on('readable', () => this.#sayOutput())
    const ended = (code: number | null, signal: NodeJS.Signals | null) => {
      const streams = [child.stdout!, child.stderr!].map(stream => new Promise<void>(resolve => stream.once('end', resolve)))
      const late = new Promise<void>(resolve => setTimeout(resolve, drainMsMax))
      void Promise.race([Promise.all(streams), late]).then(() => {
        const how = signal ? (['signal', String(constants.signals[signal])] as const) : (['code', String(code ?? 127)] as const)
        this.#say(fromGuest.exit, encodeFields([how, ['limit', '0']]))
      })
    }
    child.once('exit', ended)
    child.once('error', () => ended(127, null))
  }

  #takeInput(payload: Buffer): void {
    this.#stdinOpen += payload.length
    const taken = () => {
      this.#stdinOpen -= payload.length
      const credit = Buffer.alloc(5)
      credit.writeUInt32LE(payload.length, 1)
      this.#say(fromGuest.credit, credit)
    }
    const stdin = this.#child?.stdin
    if (!stdin || stdin.destroyed || stdin.writableEnded) taken()
    else stdin.write(Buffer.from(payload), taken)
  }

  #sayOutput(): void {
    if (!this.#child || !this.#link || this.#paused) return
    this.#relayOne(this.#child.stdout!, streamNumber.stdout, fromGuest.stdout)
    this.#relayOne(this.#child.stderr!, streamNumber.stderr, fromGuest.stderr)
  }

  #relayOne(stream: Readable, number: 1 | 2, type: number): void {
    while (this.#credit[number] > 0 && stream.readableLength > 0) {
      const bytes = stream.read(Math.min(this.#credit[number], payloadBytesMax, stream.readableLength)) as Buffer | null
      if (!bytes) return
      this.#credit[number] -= bytes.length
      this.#say(type, bytes)
    }
    // Reading nothing of an empty stream is how its end is heard.
    if (stream.readableLength === 0) stream.read(0)
  }

  #say(type: number, payload: Uint8Array): void {
    if (!this.#link || this.#link.destroyed) return
    this.#link.write(Buffer.concat([encodeHeader(type, payload.length), payload]))
  }
}

function readStart(payload: Buffer): Start {
  const start: Start = { command: [], env: {}, cwd: '/', memoryBytesMax: 0, openFilesMax: 0, hold: false, relay: false, ca: '' }
  const texts: string[] = []
  for (let at = 0; at < payload.length; ) {
    const length = payload.readUInt32LE(at)
    texts.push(payload.toString('utf8', at + 4, at + 4 + length))
    at += 4 + length
  }
  for (let index = 0; index < texts.length; index += 2) {
    const [name, value] = [texts[index]!, texts[index + 1]!]
    if (name === 'argument') start.command.push(value)
    else if (name === 'env') start.env[value.slice(0, value.indexOf('='))] = value.slice(value.indexOf('=') + 1)
    else if (name === 'cwd') start.cwd = value
    else if (name === 'hold') start.hold = value === '1'
    else if (name === 'relay') start.relay = value === '1'
    else if (name === 'ca') start.ca = value!
    else if (name === 'memoryBytesMax' || name === 'openFilesMax') start[name] = Number(value)
  }
  return start
}
