import type { Duplex } from 'node:stream'
import type { World } from '../../world.ts'
import { LineSplitter } from '../line-splitter.ts'

const answerMsMax = 30_000
const lineBytesMax = 256 * 1024
const waitingMax = 32

interface Waiting {
  done(value: unknown): void
  fail(cause: Error): void
}

/**
 * Speaks QMP, QEMU's machine protocol (QEMU documentation, "QEMU Machine Protocol Specification"), over a connected stream. QEMU is as
 * untrusted as the guest it emulates: lines are bounded, whatever is no answer is left out, and nothing waits for ever.
 */
export class Qmp {
  readonly #link: Duplex
  readonly #world: World
  readonly #waiting = new Map<number, Waiting>()
  #next = 1
  #broken: Error | null = null

  constructor(link: Duplex, world: World) {
    this.#link = link
    this.#world = world
    const splitter = new LineSplitter(lineBytesMax, line => this.#take(line))
    link.on('data', (chunk: Buffer) => {
      if (!this.#broken && !splitter.push(chunk)) this.#break('QEMU sent a line without end')
    })
    link.on('error', () => {})
    for (const end of ['end', 'close']) link.once(end, () => this.#break('QEMU is gone'))
  }

  /** Gives what QEMU returns. Rejects with its own words where it refuses, and when it does not answer in time. */
  async execute<T = unknown>(command: string, args: Record<string, unknown> = {}): Promise<T> {
    if (this.#broken) throw this.#broken
    if (this.#waiting.size >= waitingMax) throw new Error('too many questions to QEMU')
    const id = this.#next++
    const answered = new Promise<unknown>((done, fail) => this.#waiting.set(id, { done, fail }))
    const cancel = this.#world.after(answerMsMax, () => {
      this.#waiting.get(id)?.fail(new Error(`QEMU did not answer ${command} within ${answerMsMax} ms`))
    })
    this.#link.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`)
    try {
      return (await answered) as T
    } finally {
      cancel()
      this.#waiting.delete(id)
    }
  }

  #take(line: Buffer): void {
    let message: { id?: unknown; return?: unknown; error?: { desc?: unknown } }
    try {
      message = JSON.parse(line.toString('utf8'))
    } catch {
      this.#break('QEMU sent what is no JSON')
      return
    }
    // Greetings and events have no id.
    const waiting = typeof message?.id === 'number' ? this.#waiting.get(message.id) : undefined
    if (!waiting) return
    if (message.error !== undefined) waiting.fail(new Error(`QEMU: ${String(message.error?.desc).slice(0, 500)}`))
    else waiting.done(message.return)
  }

  #break(why: string): void {
    this.#broken ??= new Error(why)
    for (const { fail } of this.#waiting.values()) fail(this.#broken)
    this.#link.destroy()
  }
}
