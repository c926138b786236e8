/** Sessions that come and go under load while processes of theirs are killed at random, and a look at what that leaves on the machine. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { RunningConductor } from './conductor.ts'
import { descendantsOf } from './processes.ts'
import { openRawSession, post } from './raw-session.ts'

export interface ChurnExtent {
  sessions: number
  /** Sessions open at a time. */
  parallel: number
  /** Share of sessions during which a random process below Conductor’s sandboxes is killed. */
  killShare: number
  random(): number
  onProgress?(done: number): void
}

export interface ChurnResult {
  opened: number
  /** Of those, ended by their client in order. */
  ended: number
  /** Sessions that a kill, or a client that went away, cut off. */
  cutOff: number
  /** Refused for a full pool and tried again. */
  refused: number
  kills: number
}

/** Opens so many sessions of deployment `echo`, calls, and ends them one way or the other. Throws where one fails that nobody harmed. */
export async function churn(conductor: RunningConductor, extent: ChurnExtent): Promise<ChurnResult> {
  const { random } = extent
  const result: ChurnResult = { opened: 0, ended: 0, cutOff: 0, refused: 0, kills: 0 }
  let token = await conductor.mint('echo')
  let left = extent.sessions

  const oneSession = async (number: number) => {
    const session = await openRawSession(token, `churn-${number}`)
    result.opened++
    const calls = Math.floor(random() * 4)
    for (let call = 0; call < calls; call++) {
      const { last } = await session.call('echo', { message: `${number}-${call}` })
      if (last?.error) throw new Error(last.error.data?.code ?? last.error.message)
    }
    // Some clients just go; their session is ended by somebody else.
    if (random() < 0.1) {
      const headers = { 'mcp-session-id': session.id }
      const gone = AbortSignal.timeout(1)
      await post(token.mcpUrl, token.token, { jsonrpc: '2.0', id: 99, method: 'tools/list' }, { headers, signal: gone }).catch(
        () => {},
      )
    }
    await session.end()
    result.ended++
  }

  const lane = async () => {
    while (left > 0) {
      const number = left--
      if (number % 500 === 0) token = await conductor.mint('echo')
      const isKilled = random() < extent.killShare
      const killing = isKilled ? sleep(random() * 60).then(() => killOne(conductor, random)) : null
      try {
        await oneSession(number)
      } catch (failure) {
        const why = String(failure)
        if (/pool_exhausted|-32010/.test(why)) {
          result.refused++
          left++
          await sleep(20)
        } else if (/sandbox_|session_|server_|answered (404|502|503)|fetch failed/.test(why)) result.cutOff++
        else throw failure
      }
      if (await killing) result.kills++
      extent.onProgress?.(extent.sessions - left)
    }
  }
  await Promise.all(Array.from({ length: extent.parallel }, lane))
  return result
}

/** Kills one process of one sandbox, whoever it serves: bubblewrap outside, its first process inside, or the server. */
function killOne(conductor: RunningConductor, random: () => number): boolean {
  const victims = descendantsOf(conductor.pid).filter(({ command }) =>
    /^bwrap |maestro-sandbox|\/run\/maestro\/|\/bundle\//.test(command),
  )
  const victim = victims[Math.floor(random() * victims.length)]
  if (!victim) return false
  try {
    process.kill(victim.pid, 'SIGKILL')
    return true
  } catch {
    return false
  }
}

/** What is on the machine of this Conductor, counted from outside. */
export interface Footprint {
  processes: number
  mounts: number
  cgroups: number
  /** Sockets and folders of ours in the temporary folder. */
  files: number
  descriptors: number
  rssBytes: number
}

/** Of a process that is no more it counts what bears its name. */
export function footprintOf(pid: number): Footprint {
  const mine = (name: string) => new RegExp(`^maestro-\\d+-${pid}-`).test(name)
  const base = '/sys/fs/cgroup'
  const controllers = existsSync(base) ? readdirSync(base).map(name => join(base, name)) : []
  const groups = [base, ...controllers].flatMap(folder =>
    namesIn(folder)
      .filter(mine)
      .map(name => join(folder, name)),
  )
  const folders = namesIn(tmpdir()).filter(mine)
  return {
    processes: descendantsOf(pid).filter(({ state }) => state !== 'Z').length,
    mounts: readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .filter(line => line.includes('maestro-')).length,
    cgroups: groups.length,
    files: folders.reduce((sum, folder) => sum + namesIn(join(tmpdir(), folder)).length, folders.length),
    descriptors: namesIn(`/proc/${pid}/fd`).length,
    rssBytes: rssOf(pid),
  }
}

function rssOf(pid: number): number {
  try {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024
  } catch {
    return 0
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

/** Numbers in [0, 1) that are the same for the same seed: SplitMix32. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x9e3779b9) >>> 0
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad)
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97)
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32
  }
}
