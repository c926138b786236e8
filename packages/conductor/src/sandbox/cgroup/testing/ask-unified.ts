/** Runs as root in a guest whose control groups are version 2, and says in one line of JSON what the kernel made of each thing. */
import { spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { SandboxLimits } from '../../sandbox.ts'
import type { Cgroup } from '../cgroup.ts'
import { findCgroups, makeCgroup } from '../cgroups.ts'

const MiB = 1024 * 1024
const limits: SandboxLimits = {
  ...{ memoryBytesMax: 64 * MiB, pidsMax: 8, cpusMax: 1 },
  ...{ diskBytesMax: MiB, lineBytesMax: MiB },
}
const pause = (ms: number) => new Promise<void>(resolve => setTimeout(resolve, ms))

const base = findCgroups()!
const root = base.folders.get('memory')!
const folderOf = (name: string) => join(root, readdirSync(root).find(entry => entry.endsWith(`-${name}`))!)
const read = (group: string, file: string) => readFileSync(join(group, file), 'utf8').trim()
/** Numbers of a file of "name number" lines. */
const counts = (group: string, file: string): Record<string, number> =>
  Object.fromEntries(
    read(group, file)
      .split('\n')
      .map(line => line.split(' '))
      .map(([name, value]) => [name, Number(value)]),
  )

/** Starts a program of the shell in the group; it enters before anything of it runs. */
function start(group: Cgroup, script: string) {
  const enter = group.entrances.map(file => `echo 0 > ${file}`).join(' && ')
  const child = spawn('/bin/sh', ['-c', `${enter} && exec "$@"`, 'enter', '/bin/sh', '-c', script], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  let said = ''
  child.stdout.on('data', bytes => {
    said += bytes
  })
  const ended = new Promise<string>(resolve => child.once('close', (code, signal) => resolve(`${code ?? signal}`)))
  return { ended, said: () => said }
}

async function inGroup<T>(
  name: string,
  changes: Partial<SandboxLimits>,
  use: (group: Cgroup, folder: string) => Promise<T>,
): Promise<T & { removed: boolean }> {
  const group = makeCgroup(base, name, { ...limits, ...changes })
  const said = await use(group, folderOf(name))
  group.kill()
  for (let tries = 0; tries < 100 && group.pids().length > 0; tries++) await pause(20)
  return { ...said, removed: group.remove() }
}

const answers: Record<string, unknown> = { version: base.version, controllers: read(root, 'cgroup.subtree_control') }
answers['limits'] = await inGroup('set', { cpusMax: 0.2 }, async (_, folder) => ({
  files: ['memory.max', 'memory.swap.max', 'memory.oom.group', 'pids.max', 'cpu.max'].map(file => {
    try {
      return read(folder, file)
    } catch (cause) {
      return (cause as NodeJS.ErrnoException).code
    }
  }),
}))

answers['memory'] = await inGroup('memory', {}, async (group, folder) => {
  // One process takes all there is; the other does nothing and goes with it.
  const { ended, said } = start(group, 'sleep 600 & echo ready; x=$(yes | head -c 100000000); echo survived')
  const bystanders = () => group.pids().length
  while (!said().includes('ready')) await pause(20)
  const before = { limitReached: group.limitReached(), bystanders: bystanders() > 0, memoryBytes: (group.memoryBytes() ?? 0) > 0 }
  const end = await ended
  return {
    before,
    end,
    survived: said().includes('survived'),
    left: bystanders(),
    limitReached: group.limitReached(),
    events: counts(folder, 'memory.events'),
  }
})

answers['pids'] = await inGroup('pids', {}, async group => {
  const { ended } = start(group, 'for n in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 600 & done; wait')
  for (let tries = 0; tries < 500 && !group.limitReached(); tries++) await pause(20)
  const most = group.pids().length
  group.kill()
  await ended
  return { most, limitReached: group.limitReached() }
})

const spin = 'while :; do :; done'
answers['cpu'] = await inGroup('cpu', { cpusMax: 0.2 }, async (group, folder) => {
  start(group, spin)
  await pause(500)
  const [from, at] = [counts(folder, 'cpu.stat')['usage_usec']!, performance.now()]
  await pause(3000)
  const usedMs = (counts(folder, 'cpu.stat')['usage_usec']! - from) / 1000
  return { share: usedMs / (performance.now() - at), throttled: counts(folder, 'cpu.stat')['nr_throttled']! > 0 }
})

answers['freeze'] = await inGroup('freeze', {}, async (group, folder) => {
  const { ended } = start(group, spin)
  await pause(500)
  const used = () => counts(folder, 'cpu.stat')['usage_usec']!
  const frozen = async (wanted: number) => {
    for (let tries = 0; tries < 100 && counts(folder, 'cgroup.events')['frozen'] !== wanted; tries++) await pause(20)
    return counts(folder, 'cgroup.events')['frozen']
  }
  const said = group.freeze()
  const stood = await frozen(1)
  const before = used()
  await pause(1000)
  const whileFrozen = used() - before
  group.thaw()
  const goes = await frozen(0)
  await pause(1000)
  const after = used() - before
  group.freeze()
  await frozen(1)
  // What is frozen dies too.
  group.kill()
  return { said, stood, whileFrozen, goes, wentOn: after > whileFrozen, end: await ended }
})

process.stdout.write(`\nunified: ${JSON.stringify(answers)}\n`)
