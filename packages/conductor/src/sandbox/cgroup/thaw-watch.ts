import { type ChildProcess, spawn } from 'node:child_process'
import type { Writable } from 'node:stream'

/** Waits until its input ends, which happens whichever way we die; then thaws every group whose name begins with the given one. */
const script = [
  "trap '' INT TERM HUP",
  'read -r _',
  'for group in "$1/$2"-*; do',
  '  [ -e "$group/freezer.state" ] && echo THAWED > "$group/freezer.state"',
  'done',
].join('\n')

/**
 * With control groups of version 1 a frozen process does not even die of SIGKILL before it is thawed, and frozen sandboxes would outlive
 * our own `kill -9`. A small process beside Conductor that sees to it.
 */
export class ThawWatch {
  readonly #child: ChildProcess

  constructor(freezerFolder: string, name: string) {
    this.#child = spawn('/bin/sh', ['-c', script, 'maestro-thaw', freezerFolder, name], {
      stdio: ['pipe', 'ignore', 'ignore'],
      env: { PATH: '/usr/bin:/bin' },
      cwd: '/',
      detached: true,
    })
    this.#child.on('error', () => {})
    this.#child.unref()
    const stdin = this.#child.stdin as Writable & { unref?(): void }
    stdin.unref?.()
    stdin.on('error', () => {})
  }

  /** Settles when it has ended. */
  close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.pid === undefined) return Promise.resolve()
    return new Promise(resolve => {
      this.#child.ref()
      this.#child.once('exit', () => resolve())
      this.#child.stdin?.end()
    })
  }
}
