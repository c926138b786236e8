/** One run of PostgreSQL's server process, tied to our own life. */
import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { ConductorError } from '@maestro/contract'
import type { World } from '../../world.ts'
import { holdOpen } from '../hold-open.ts'
import { commandOf } from '../process-identity.ts'
import { asUser } from './choose-server-user.ts'
import type { Place } from './place-database.ts'

const startMsMax = 60_000
const stopMsMax = 15_000

/**
 * Runs the server and ends with its exit code. A second shell beside it reads standard input until its end, which comes by
 * `stop` or because we died, also by `kill -9`; then SIGINT asks for a fast shutdown and, after 10 s, SIGQUIT for an immediate one.
 */
const keeper = `
exec 3<&0
"$@" </dev/null 3<&- &
server=$!
(
  while read -r _ <&3; do :; done
  kill -INT $server 2>/dev/null
  tries=0
  while kill -0 $server 2>/dev/null && [ $tries -lt 100 ]; do sleep 0.1; tries=$((tries+1)); done
  kill -QUIT $server 2>/dev/null
) &
watcher=$!
exec 3<&-
wait $server
code=$?
kill $watcher 2>/dev/null
exit $code
`

export interface Postmaster {
  readonly pid: number
  /** Settles once, when the server process is gone, with the last thing it said. */
  readonly ended: Promise<string>
  /** Fast shutdown: open transactions are rolled back, everything committed is on disk. */
  stop(): Promise<void>
}

/**
 * Starts the server on an existing database and waits until it takes connections; after a crash that includes recovery.
 * Throws `store_unavailable` with the server's own words.
 */
export async function startPostmaster(
  programs: string,
  major: number,
  place: Place,
  socket: string,
  world: World,
): Promise<Postmaster> {
  const settings = settingsOf(major, socket).flatMap(setting => ['-c', setting])
  const child = spawn('/bin/sh', ['-c', keeper, 'sh', join(programs, 'postgres'), '-D', place.data, ...settings], {
    ...asUser(place.user),
    env: { PATH: '/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC', ...strangerPid(place) },
    stdio: ['pipe', 'ignore', 'pipe'],
    // Its own process group: Ctrl-C in our terminal is for us, who still have rows to write.
    detached: true,
  })
  const said = listen(child, world)
  let gone = false
  const ended = new Promise<string>(resolve => {
    const end = (reason: string) => {
      gone = true
      // The second shell waits for the end of this pipe.
      child.stdin?.destroy()
      resolve(reason)
    }
    child.once('error', error => end(error.message))
    child.once('close', code => end(said() || `it ended with code ${code}`))
  })
  child.stdin?.on('error', () => {})

  const stop = async () => {
    child.stdin?.end()
    const deadline = world.after(stopMsMax, () => signalPostmaster(place, 'SIGKILL'))
    await ended
    deadline()
  }
  const deadline = world.monotonicMs() + startMsMax
  while (!gone && world.monotonicMs() < deadline) {
    const pid = readyPid(place)
    if (pid !== null && isPostmasterOf(pid, place)) return { pid, ended, stop }
    await world.sleep(5)
  }
  if (!gone) await stop()
  throw new ConductorError('store_unavailable', `PostgreSQL did not start: ${await ended}`)
}

/**
 * Ends a server that outlived its Conductor, so that ours can have the database. Throws `data_locked` where a server
 * answers on the socket and is no process we can see, such as one in another container that shares the folder.
 */
export async function stopLeftover(place: Place, world: World): Promise<void> {
  const lines = readPidFile(place)
  const pid = Number(lines[0])
  if (!pid) return
  if (!isPostmasterOf(pid, place)) {
    const socket = lines[4]
    if (socket && (await answers(join(socket, '.s.PGSQL.5432')))) {
      throw new ConductorError('data_locked', `Another PostgreSQL, which cannot be seen from here, uses ${place.data}.`)
    }
    return
  }
  world.log.warn('database.leftover', { pid })
  for (const [signal, waitMs] of [
    ['SIGINT', 10_000],
    ['SIGQUIT', 5_000],
    ['SIGKILL', 5_000],
  ] as const) {
    signalPostmaster(place, signal)
    const deadline = world.monotonicMs() + waitMs
    while (world.monotonicMs() < deadline) {
      if (!isPostmasterOf(pid, place)) return
      await holdOpen(world.sleep(10))
    }
  }
  throw new ConductorError('data_locked', `PostgreSQL process ${pid} uses ${place.data} and does not end.`, { pid })
}

/**
 * A pid file that a crash left may name a pid that by now is a zombie or some other process, and the server would not start
 * for fear of it. Told that the pid is its grandparent, it goes on to what matters: whether the old shared memory is in use.
 * Removing the file would take that safeguard away.
 */
function strangerPid(place: Place): { PG_GRANDPARENT_PID?: string } {
  const pid = Number(readPidFile(place)[0])
  return pid && !isPostmasterOf(pid, place) ? { PG_GRANDPARENT_PID: String(pid) } : {}
}

function signalPostmaster(place: Place, signal: NodeJS.Signals): void {
  const pid = Number(readPidFile(place)[0])
  if (!pid || !isPostmasterOf(pid, place)) return
  try {
    process.kill(pid, signal)
  } catch {
    // It ended between the look and the signal.
  }
}

/** Whether this pid is the server of this database, and not some other process that got its number. */
function isPostmasterOf(pid: number, place: Place): boolean {
  const command = commandOf(pid)
  return command !== null && command[0]?.endsWith('postgres') === true && command.includes(place.data)
}

/** Pid of the server once it takes connections: line 8 of its pid file says so (pidfile.h). */
function readyPid(place: Place): number | null {
  const lines = readPidFile(place)
  return lines[7]?.trim() === 'ready' ? Number(lines[0]) : null
}

function readPidFile(place: Place): string[] {
  try {
    return readFileSync(join(place.data, 'postmaster.pid'), 'utf8').split('\n')
  } catch {
    return []
  }
}

function answers(path: string): Promise<boolean> {
  return new Promise(resolve => {
    const probe = connect(path)
    probe.once('connect', () => {
      probe.destroy()
      resolve(true)
    })
    probe.once('error', () => resolve(false))
  })
}

/** Passes on what the server complains of (its progress reports are of no use to a reader of our log) and remembers the last reason to die. */
function listen(child: ChildProcess, world: World): () => string {
  let last = ''
  if (child.stderr) {
    createInterface({ input: child.stderr }).on('line', line => {
      if (/^(LOG|HINT|DETAIL|NOTICE|INFO):/.test(line)) return
      // Without a level it is the loader or the shell that speaks: the server did not come so far.
      if (/^(FATAL|PANIC):/.test(line) || !/^[A-Z]+:/.test(line)) last = line.replace(/^(FATAL|PANIC): +/, '')
      world.log.warn('database.said', { line })
    })
  }
  return () => last
}

function settingsOf(major: number, socket: string): string[] {
  return [
    'listen_addresses=',
    `unix_socket_directories=${socket}`,
    'unix_socket_permissions=0700',
    'ssl=off',
    'shared_buffers=32MB',
    'max_connections=40',
    'fsync=on',
    'synchronous_commit=on',
    'full_page_writes=on',
    'restart_after_crash=on',
    'max_wal_size=256MB',
    'jit=off',
    'max_logical_replication_workers=0',
    'max_parallel_workers_per_gather=0',
    'logging_collector=off',
    'log_destination=stderr',
    'log_line_prefix=',
    'log_timezone=UTC',
    'timezone=UTC',
    'log_checkpoints=off',
    // What a statement held must not reach the log: neither its text nor the values named in the details of an error.
    'log_min_error_statement=panic',
    'log_error_verbosity=terse',
    'log_parameter_max_length_on_error=0',
    'cluster_name=maestro',
    ...(major >= 18 ? ['io_method=sync'] : []),
  ]
}
