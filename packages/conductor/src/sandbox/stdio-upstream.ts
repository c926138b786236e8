import type { Readable, Writable } from 'node:stream'
import type { TapeEvent } from '@maestro/contract'
import type { Upstream } from '../session/stages.ts'
import type { World } from '../world.ts'
import { firstVisible, LineSplitter } from './line-splitter.ts'
import type { Exit, SandboxDriver, SandboxSpec } from './sandbox.ts'
import { StderrMeter } from './stderr-meter.ts'

/** A running process tree as a driver sees it. */
export interface ProcessTree {
  stdin: Writable
  stdout: Readable
  stderr: Readable
  /** Settles once nothing of the tree runs and nothing of it is left on the machine. Never rejects. */
  gone: Promise<TreeEnd>
  /** Asks the server to end, with SIGTERM. */
  interrupt(): void
  /** Ends the whole tree now, frozen or not. Safe to call twice. */
  kill(): void
  /** As of `Upstream`. */
  freeze?(): boolean
  thaw?(): void
  hurry?(): void
  memoryBytes?(): number | null
}

export interface TreeEnd {
  code: number | null
  signal: string | null
  /** Whether the kernel ended or refused it something for a limit. */
  limitReached: boolean
}

/** How long a server may take to end by itself after its input ended, and after SIGTERM, ms. */
const stdinGraceMs = 200
const interruptGraceMs = 300
/** What is read after the tree is gone must arrive within this, ms; a paused reader would otherwise hold the exit for ever. */
const drainMsMax = 1000

const garbledLinesMax = 1000
const garbledBytesMax = 1024 * 1024
const garbledTextBytesMax = 2048
/** Input the server does not read: so much of it is kept, or two of the longest lines where that is more. */
const pendingBytesMax = 8 * 1024 * 1024
/** Output that came before anybody listens; then the reader pauses. */
const earlyBytesMax = 1024 * 1024
const earlyEventsMax = 256

/**
 * Output beyond these rates waits: a server that floods costs the other sessions, whose frames go through the same thread, a bounded
 * share of it. No server that answers somebody comes near: 50,000 messages or 80 MB in a second.
 */
const outputLinesPerMs = 50
const outputBytesPerMs = 80_000
/** So far ahead of the rates a burst may run. */
const outputBurstMs = 100

const openBrace = 0x7b
const openBracket = 0x5b
const newline = 0x0a

type LimitReason = Extract<Exit['reason'], 'sandbox_limit_reached' | 'server_garbled'>

/**
 * The standard streams of a process tree as an `Upstream`: newline-delimited JSON-RPC, MCP revision 2025-11-25, transport "stdio".
 * Everything from the tree is untrusted. A frame costs one call of the listener: no promise, no object, no copy unless it crosses chunks.
 */
export class StdioUpstream implements Upstream {
  readonly id: Upstream['id']
  readonly driver: string
  readonly exited: Promise<Exit>
  readonly #tree: ProcessTree
  readonly #world: World
  readonly #splitter: LineSplitter
  readonly #stderr: StderrMeter
  readonly #pendingBytesMax: number
  #frameListener: ((frame: Uint8Array) => void) | null = null
  #eventListener: ((event: TapeEvent) => void) | null = null
  #earlyFrames: Uint8Array[] = []
  #earlyBytes = 0
  #earlyEvents: TapeEvent[] = []
  #paused = false
  /** Takes back the reading on after a throttle; null where there is none. */
  #cancelThrottle: (() => void) | null = null
  /** When what was read so far would have come at the highest rate. */
  #outputDueMs = 0
  #lines = 0
  #garbledLines = 0
  #garbledBytes = 0
  /** Why we ended it; null while nobody did. */
  #ending: 'closed' | LimitReason | null = null
  #treeGone = false
  #closing: Promise<void> | null = null

  constructor(driver: SandboxDriver['name'], spec: SandboxSpec, tree: ProcessTree, world: World) {
    this.id = spec.id
    this.driver = driver
    this.#tree = tree
    this.#world = world
    this.#pendingBytesMax = Math.max(pendingBytesMax, 2 * spec.limits.lineBytesMax)
    this.#splitter = new LineSplitter(spec.limits.lineBytesMax, line => this.#takeLine(line))
    this.#stderr = new StderrMeter(
      world,
      { ...spec.masked, ...spec.env },
      { pause: () => tree.stderr.pause(), resume: () => tree.stderr.resume() },
      text => this.#emit({ name: 'server.stderr', text }),
    )
    // A server may close its streams whenever it likes; its exit is what counts.
    for (const stream of [tree.stdin, tree.stdout, tree.stderr]) stream.on('error', () => {})
    tree.stdout.on('data', (chunk: Buffer) => this.#takeOutput(chunk))
    tree.stdout.once('end', () => {
      if (!this.#ending) this.#splitter.end()
    })
    tree.stderr.on('data', (chunk: Buffer) => this.#stderr.push(chunk))
    this.exited = this.#awaitExit()
  }

  send(frame: Uint8Array): void {
    const { stdin } = this.#tree
    if (this.#ending || this.#treeGone || stdin.destroyed || stdin.writableEnded) return
    // One copy, because the stream keeps what the pipe does not take at once and the caller's bytes are not ours to keep.
    const line = Buffer.allocUnsafe(frame.length + 1)
    line.set(frame)
    line[frame.length] = newline
    stdin.write(line)
    if (stdin.writableLength > this.#pendingBytesMax) this.#end('sandbox_limit_reached')
  }

  get pendingBytes(): number {
    return this.#tree.stdin.writableLength
  }

  onFrame(listener: (frame: Uint8Array) => void): void {
    this.#frameListener = listener
    const early = this.#earlyFrames
    this.#earlyFrames = []
    this.#earlyBytes = 0
    for (const frame of early) listener(frame)
    this.#readOn()
  }

  onEvent(listener: (event: TapeEvent) => void): void {
    this.#eventListener = listener
    const early = this.#earlyEvents
    this.#earlyEvents = []
    for (const event of early) listener(event)
  }

  pause(): void {
    this.#paused = true
    this.#tree.stdout.pause()
  }

  resume(): void {
    this.#paused = false
    this.#readOn()
  }

  freeze(): boolean {
    return this.#ending === null && !this.#treeGone && (this.#tree.freeze?.() ?? false)
  }

  thaw(): void {
    if (!this.#treeGone) this.#tree.thaw?.()
  }

  hurry(): void {
    if (!this.#treeGone) this.#tree.hurry?.()
  }

  memoryBytes(): number | null {
    return this.#treeGone ? null : (this.#tree.memoryBytes?.() ?? null)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  /** For drivers: what happened beside the frames, such as a connection through the egress proxy. */
  report(event: TapeEvent): void {
    this.#emit(event)
  }

  async #close(): Promise<void> {
    this.#ending ??= 'closed'
    this.thaw()
    const ended = new AbortController()
    const gone = this.#tree.gone.then(() => ended.abort())
    this.#cancelThrottle?.()
    this.#cancelThrottle = null
    // Reading on, into nothing: a server that waits to write would not see that its input ended.
    this.#tree.stdout.resume()
    this.#tree.stdin.end()
    if (!(await this.#lasts(stdinGraceMs, ended.signal))) {
      this.#tree.interrupt()
      if (!(await this.#lasts(interruptGraceMs, ended.signal))) this.#tree.kill()
    }
    await gone
    await this.exited
  }

  /** Whether the signal came before the time was over. */
  async #lasts(ms: number, signal: AbortSignal): Promise<boolean> {
    try {
      await this.#world.sleep(ms, signal)
      return signal.aborted
    } catch {
      return true
    }
  }

  #end(reason: LimitReason): void {
    if (this.#ending) return
    this.#ending = reason
    this.#tree.stdin.destroy()
    this.#tree.kill()
  }

  async #awaitExit(): Promise<Exit> {
    const end = await this.#tree.gone
    this.#treeGone = true
    this.#tree.stdin.destroy()
    await Promise.all([this.#drained(this.#tree.stdout), this.#drained(this.#tree.stderr)])
    this.#tree.stdout.destroy()
    this.#tree.stderr.destroy()
    this.#stderr.end()
    const stderrTail = this.#stderr.tail
    const exit: Exit = { code: end.code, signal: end.signal, reason: this.#reasonOf(end, stderrTail), stderrTail }
    this.#emit({ name: 'server.exited', code: exit.code, signal: exit.signal, reason: exit.reason })
    return exit
  }

  #reasonOf(end: TreeEnd, stderrTail: string): Exit['reason'] {
    if (this.#ending) return this.#ending
    if (end.limitReached || diedOfMemory(end, stderrTail)) return 'sandbox_limit_reached'
    return 'sandbox_crashed'
  }

  /** Waits until everything the tree had written was read. */
  #drained(stream: Readable): Promise<void> {
    if (this.#ending || stream.readableEnded || stream.destroyed) return Promise.resolve()
    return new Promise(resolve => {
      const cancel = this.#world.after(drainMsMax, resolve)
      stream.once('close', () => {
        cancel()
        resolve()
      })
    })
  }

  #takeOutput(chunk: Buffer): void {
    if (this.#ending) return
    if (!this.#splitter.push(chunk)) this.#end('sandbox_limit_reached')
    this.#throttle(chunk.length)
  }

  #throttle(bytes: number): void {
    const nowMs = this.#world.monotonicMs()
    this.#outputDueMs = Math.max(this.#outputDueMs, nowMs) + Math.max(this.#lines / outputLinesPerMs, bytes / outputBytesPerMs)
    this.#lines = 0
    const aheadMs = this.#outputDueMs - nowMs
    if (aheadMs < outputBurstMs || this.#cancelThrottle || this.#treeGone) return
    this.#tree.stdout.pause()
    this.#cancelThrottle = this.#world.after(aheadMs, () => {
      this.#cancelThrottle = null
      this.#readOn()
    })
  }

  #readOn(): void {
    const isFull = this.#frameListener === null && this.#earlyBytes > earlyBytesMax
    if (!this.#paused && !this.#cancelThrottle && !isFull) this.#tree.stdout.resume()
  }

  #takeLine(line: Buffer): void {
    if (this.#ending) return
    this.#lines++
    const first = line[firstVisible(line)]
    if (first !== openBrace && first !== openBracket) this.#takeGarbled(line)
    else if (this.#frameListener) this.#frameListener(line)
    else this.#keepEarly(line)
  }

  #keepEarly(line: Buffer): void {
    this.#earlyFrames.push(line)
    this.#earlyBytes += line.length
    if (this.#earlyBytes > earlyBytesMax) this.#tree.stdout.pause()
  }

  #takeGarbled(line: Buffer): void {
    this.#garbledLines++
    this.#garbledBytes += line.length
    const text = line.subarray(0, garbledTextBytesMax).toString('utf8')
    this.#emit({ name: 'server.garbled', text, bytes: line.length })
    if (this.#garbledLines > garbledLinesMax || this.#garbledBytes > garbledBytesMax) this.#end('server_garbled')
  }

  #emit(event: TapeEvent): void {
    if (this.#eventListener) this.#eventListener(event)
    else if (this.#earlyEvents.length < earlyEventsMax) this.#earlyEvents.push(event)
  }
}

/** V8 ends itself when its heap is full or the system gives no more memory: no kernel counter shows that, its last words do. */
function diedOfMemory(end: TreeEnd, stderrTail: string): boolean {
  return (
    end.code !== 0 &&
    /JavaScript heap out of memory|Fatal process out of memory|ERR_MEMORY_ALLOCATION_FAILED|Array buffer allocation failed/.test(
      stderrTail,
    )
  )
}
