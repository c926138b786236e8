import type { ChildProcess } from 'node:child_process'
import type { Duplex, Readable, Writable } from 'node:stream'
import { setTimeout } from 'node:timers/promises'
import { ConductorError, type SandboxId } from '@maestro/contract'
import type { World } from '../world.ts'
import type { Cgroup } from './cgroup/cgroup.ts'
import type { EgressProxy } from './egress/egress-proxy.ts'
import { childrenOf, descendantsOf, signalTo, startTimeOf } from './processes.ts'
import type { ProcessTree, TreeEnd } from './stdio-upstream.ts'

const startMsMax = 10_000
const killedMsMax = 3000
const pollMs = 5

export interface TreeNews {
  /** So many processes would not go; `pid` is the first of the tree. */
  stayed(count: number, pid: number): void
  /** It is about to be frozen. */
  freezing(): void
  /** Memory of these processes, bytes, where no group counts it; null where that would say nothing. */
  weigh(pids: readonly number[]): number | null
}

/** bubblewrap outside, the first process of the pid namespace inside, and what they hold. */
export class NamespacedTree implements ProcessTree {
  readonly stdin: Writable
  readonly stdout: Readable
  readonly stderr: Readable
  readonly gone: Promise<TreeEnd>
  readonly #child: ChildProcess
  readonly #cgroup: Cgroup | null
  readonly #world: World
  readonly #news: TreeNews
  /** First process of the pid namespace: when it goes, the kernel ends everything in there. 0 until known. */
  #init = 0
  #outerGone = false
  #over = false

  constructor(child: ChildProcess, cgroup: Cgroup | null, egress: EgressProxy | null, world: World, news: TreeNews) {
    this.#child = child
    this.#cgroup = cgroup
    this.#world = world
    this.#news = news
    this.stdin = child.stdin!
    this.stdout = child.stdout!
    this.stderr = child.stderr!
    const exited = new Promise<{ code: number | null; signal: string | null }>(resolve => {
      child.once('exit', (code, signal) => resolve({ code, signal }))
      child.once('error', () => resolve({ code: null, signal: null }))
    })
    this.gone = exited.then(async end => {
      this.#outerGone = true
      // Before it has a session of its own, what is inside does not notice that bubblewrap was killed.
      if (child.pid) signalTo(-child.pid, 'SIGKILL')
      const left = await this.#awaitEmpty(cgroup)
      this.#over = true
      if (left > 0) news.stayed(left, this.#init)
      const limitReached = cgroup?.limitReached() ?? false
      cgroup?.remove()
      await egress?.close()
      return { ...end, limitReached }
    })
  }

  /** Now known: the first process inside. Throws where bubblewrap has ended meanwhile; what is inside then goes too. */
  began(pid: number): void {
    this.#init = pid
    if (!this.#outerGone) return
    signalTo(pid, 'SIGKILL')
    throw new Error('it was ended while it started')
  }

  /** Ends all of it and throws `sandbox_start_failed`, with what it had to say where it said something. */
  async failStart(driver: string, sandbox: SandboxId, cause: unknown): Promise<never> {
    this.kill()
    const said = await this.#lastWords()
    await this.gone
    throw new ConductorError('sandbox_start_failed', `${driver}: ${said || (cause as Error).message}`, { sandbox }, cause)
  }

  interrupt(): void {
    if (this.#over) return
    for (const pid of this.#init ? childrenOf(this.#init) : []) signalTo(pid, 'SIGTERM')
  }

  kill(): void {
    if (this.#over) return
    // The first process of the namespace goes first: bubblewrap then reports when the kernel has ended all of it.
    if (this.#init && signalTo(this.#init, 'SIGKILL')) this.#world.after(killedMsMax, () => this.#killOuter())
    else this.#killOuter()
    this.#cgroup?.yieldCpu(false)
    // Only now: with version 1 the signal waits in what is frozen, and nothing of it runs in between.
    this.#cgroup?.thaw()
  }

  freeze(): boolean {
    if (this.#over || !this.#cgroup) return false
    this.#news.freezing()
    return this.#cgroup.freeze()
  }

  thaw(): void {
    if (!this.#over) this.#cgroup?.thaw()
  }

  hurry(): void {
    if (!this.#over) this.#cgroup?.yieldCpu(false)
  }

  memoryBytes(): number | null {
    if (this.#over) return null
    return this.#cgroup?.memoryBytes() ?? (this.#init ? this.#news.weigh([this.#init, ...descendantsOf(this.#init)]) : null)
  }

  /** At most 4 KiB. */
  async #lastWords(): Promise<string> {
    let text = ''
    const cancel = this.#world.after(killedMsMax, () => this.stderr.destroy())
    try {
      for await (const chunk of this.stderr) text += (chunk as Buffer).toString('utf8')
    } catch {
      // What was said before the stream broke is all there is.
    }
    cancel()
    return text.slice(-4096).trim()
  }

  #killOuter(): void {
    if (!this.#over && this.#child.pid) signalTo(-this.#child.pid, 'SIGKILL')
  }

  /** Waits until the kernel has taken everything away. Returns how many processes would not go. */
  async #awaitEmpty(cgroup: Cgroup | null): Promise<number> {
    const deadline = this.#world.monotonicMs() + killedMsMax
    for (;;) {
      const left = new Set(cgroup?.pids())
      if (this.#init && startTimeOf(this.#init) !== null) left.add(this.#init)
      if (left.size === 0 || this.#world.monotonicMs() > deadline) return left.size
      cgroup?.kill()
      if (left.has(this.#init)) signalTo(this.#init, 'SIGKILL')
      // Not World.sleep, which lets the process end meanwhile: what we made must be gone before we are.
      await setTimeout(pollMs)
    }
  }
}

/** One of the pipes beyond the standard three, which the types of Node do not count so far. */
export const pipeOf = (child: ChildProcess, number: number): Duplex => (child.stdio as readonly unknown[])[number] as Duplex

/** Writes all that a pipe is to carry. Whoever does not read it to the end has ended, which is noticed elsewhere. */
export function feed(child: ChildProcess, number: number, text: string): void {
  pipeOf(child, number)
    .on('error', () => {})
    .end(text)
}

/** The pid of the first process inside, from the JSON that bubblewrap writes to `descriptor` once the namespaces exist. */
export function readInitPid(child: ChildProcess, descriptor: number, world: World): Promise<number> {
  return new Promise((resolve, reject) => {
    const stream = pipeOf(child, descriptor)
    let text = ''
    const cancel = world.after(startMsMax, () => reject(new Error('no answer in time')))
    const fail = (cause: Error) => {
      cancel()
      reject(cause)
    }
    child.once('error', fail)
    stream.on('error', fail)
    stream.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      if (!text.includes('}')) return
      cancel()
      const pid = Number(/"child-pid":\s*(\d+)/.exec(text)?.[1])
      if (pid > 0) resolve(pid)
      else reject(new Error('no child pid'))
    })
    stream.on('end', () => fail(new Error('ended before the namespaces existed')))
  })
}
