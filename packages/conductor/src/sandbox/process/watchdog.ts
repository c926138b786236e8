import { type ChildProcess, spawn } from 'node:child_process'
import type { Writable } from 'node:stream'

/**
 * Keeps a list of process groups until its input ends, which happens whichever way we die; then ends them
 * and every process that names the folder in its environment, and removes the folder.
 */
const script = [
  "trap '' INT TERM HUP",
  "groups=''",
  'while read -r verb group; do',
  '  case $verb in',
  '    watch) groups="$groups $group" ;;',
  '    forget)',
  "      rest=''",
  '      for one in $groups; do [ "$one" = "$group" ] || rest="$rest $one"; done',
  '      groups=$rest ;;',
  '  esac',
  'done',
  'for one in $groups; do kill -KILL -- "-$one" 2>/dev/null; done',
  // Who left its group still carries the folder in its environment. Twice, for those that were being started.
  'for round in 1 2; do',
  '  for file in /proc/[0-9]*/environ; do',
  '    pid=${file#/proc/}',
  '    if grep -qF -- "$1" "$file" 2>/dev/null; then kill -KILL "${pid%/environ}" 2>/dev/null; fi',
  '  done',
  'done',
  'rm -rf -- "$1"',
].join('\n')

/** A small process beside Conductor that outlives its `kill -9` just long enough to clean up. */
export class Watchdog {
  readonly #child: ChildProcess
  readonly #ended: Promise<void>

  constructor(folder: string) {
    this.#child = spawn('/bin/sh', ['-c', script, 'maestro-watchdog', folder], {
      stdio: ['pipe', 'ignore', 'ignore'],
      env: { PATH: '/usr/bin:/bin' },
      cwd: '/',
      detached: true,
    })
    this.#ended = new Promise(resolve => {
      this.#child.once('exit', () => resolve())
      this.#child.once('error', () => resolve())
    })
    this.#child.unref()
    const stdin = this.#child.stdin as Writable & { unref?(): void }
    stdin.unref?.()
    stdin.on('error', () => {})
  }

  watch(group: number): void {
    this.#child.stdin?.write(`watch ${group}\n`)
  }

  forget(group: number): void {
    this.#child.stdin?.write(`forget ${group}\n`)
  }

  /** Settles when the folder is removed. */
  close(): Promise<void> {
    this.#child.ref()
    this.#child.stdin?.end()
    return this.#ended
  }
}
