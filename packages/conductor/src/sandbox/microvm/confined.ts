import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, lstatSync, readlinkSync, statSync, writeFileSync } from 'node:fs'
import type { Duplex } from 'node:stream'
import { setTimeout } from 'node:timers/promises'
import type { World } from '../../world.ts'
import { insideUid } from '../bubblewrap/arguments.ts'
import type { Cgroup } from '../cgroup/cgroup.ts'
import { signalTo, startTimeOf } from '../processes.ts'
import { shimmed } from '../shim.ts'
import { descriptor } from './machine.ts'

const startMsMax = 10_000
const killedMsMax = 3000
const pollMs = 5
const openFilesMax = 256
const saidBytesMax = 16 * 1024

export interface Confinement {
  /** Files by the path inside; everything else of the machine but its programs and libraries is not there. */
  read: ReadonlyMap<string, string>
  write: ReadonlyMap<string, string>
  cgroup: Cgroup | null
  /** A uid of the sandbox's own outside, where we are root and can give one. */
  uid: number | null
  kvm: boolean
  /** An open file handed over as `descriptor.state`. */
  state: number | 'ignore'
}

/** QEMU in namespaces of its own. What breaks out of the guest is nobody in an empty place, without network. */
export class ConfinedQemu {
  readonly agent: Duplex
  readonly qmp: Duplex
  /** Settles once nothing of it runs. Gives how many processes would not go. Never rejects. */
  readonly gone: Promise<number>
  readonly #child: ChildProcess
  readonly #world: World
  readonly #cgroup: Cgroup | null
  #init = 0
  #over = false
  #said = ''

  constructor(command: readonly string[], confinement: Confinement, world: World) {
    this.#world = world
    this.#cgroup = confinement.cgroup
    const [program, ...args] = shimmed(confinement.cgroup?.entrances ?? [], { openFilesMax }, [
      'bwrap',
      ...confinedOptions(confinement),
      '--',
      ...(confinement.uid === null ? [] : becomeNobody(confinement.kvm ? kvmGroup() : null)),
      ...command,
    ])
    this.#child = spawn(program!, args, {
      stdio: ['ignore', 'pipe', 'pipe', 'pipe', 'pipe', confinement.state, 'pipe', confinement.uid === null ? 'ignore' : 'pipe'],
      env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin' },
      cwd: '/',
      detached: true,
    })
    const streams = this.#child.stdio as unknown as Duplex[]
    this.agent = streams[descriptor.agent]!
    this.qmp = streams[descriptor.qmp]!
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) {
      stream.on('error', () => {})
      stream.on('data', (chunk: Buffer) => {
        this.#said = (this.#said + chunk.toString('latin1')).slice(-saidBytesMax)
      })
    }
    const exited = new Promise<void>(resolve => {
      this.#child.once('exit', () => resolve())
      this.#child.once('error', () => resolve())
    })
    this.gone = exited.then(() => this.#awaitEmpty())
    this.#readInfo(streams[descriptor.info]!, streams[descriptor.userNamespace] ?? null, confinement)
  }

  /** The last of what QEMU and the guest's kernel printed. Untrusted. */
  get said(): string {
    return this.#said.replace(/[\x00-\x09\x0b-\x1f\x7f]/g, '').trim()
  }

  kill(): void {
    if (this.#over) return
    if (this.#init && signalTo(this.#init, 'SIGKILL')) this.#world.after(killedMsMax, () => this.#killOuter())
    else this.#killOuter()
  }

  #killOuter(): void {
    if (!this.#over && this.#child.pid) signalTo(-this.#child.pid, 'SIGKILL')
  }

  #readInfo(stream: Duplex, waiting: Duplex | null, { uid, kvm }: Confinement): void {
    let text = ''
    // Whoever waits for QEMU has a deadline of its own; this one is for a bubblewrap that says nothing.
    const cancel = this.#world.after(startMsMax, () => this.kill())
    stream.on('error', () => {})
    waiting?.on('error', () => {})
    stream.on('close', cancel)
    stream.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      if (!text.includes('}') || this.#init) return
      this.#init = Number(/"child-pid":\s*(\d+)/.exec(text)?.[1] ?? 0)
      cancel()
      if (uid === null || !this.#init) return
      try {
        const group = kvm ? kvmGroup() : null
        writeFileSync(`/proc/${this.#init}/uid_map`, `0 0 1\n${insideUid} ${uid} 1\n`)
        writeFileSync(`/proc/${this.#init}/gid_map`, `0 0 1\n${insideUid} ${uid} 1\n${group ? `${group} ${group} 1\n` : ''}`)
        waiting?.end('1')
      } catch {
        this.kill()
      }
    })
  }

  async #awaitEmpty(): Promise<number> {
    const deadline = this.#world.monotonicMs() + killedMsMax
    for (;;) {
      const left = this.#cgroup ? this.#cgroup.pids().length : this.#init && startTimeOf(this.#init) !== null ? 1 : 0
      if (left === 0 || this.#world.monotonicMs() > deadline) {
        this.#over = true
        return left
      }
      this.#cgroup?.kill()
      if (!this.#cgroup) signalTo(this.#init, 'SIGKILL')
      // Not World.sleep, which lets the process end meanwhile: what we made must be gone before we are.
      await setTimeout(pollMs)
    }
  }
}

function confinedOptions({ read, write, uid, kvm }: Confinement): string[] {
  const keep = uid === null ? [] : ['CAP_SETUID', 'CAP_SETGID', 'CAP_SETPCAP'].flatMap(capability => ['--cap-add', capability])
  return [
    ...['--unshare-user', '--unshare-pid', '--unshare-net', '--unshare-ipc', '--unshare-uts', '--unshare-cgroup-try'],
    ...['--die-with-parent', '--new-session', '--clearenv', '--info-fd', String(descriptor.info), '--cap-drop', 'ALL', ...keep],
    ...(uid === null
      ? ['--uid', String(insideUid), '--gid', String(insideUid), '--disable-userns']
      : ['--userns-block-fd', String(descriptor.userNamespace)]),
    ...['--ro-bind', '/usr', '/usr'],
    ...['/bin', '/sbin', '/lib', '/lib64'].flatMap(rootFolder),
    ...['/etc/ld.so.cache', '/etc/alternatives'].filter(path => existsSync(path)).flatMap(path => ['--ro-bind', path, path]),
    ...['--dev', '/dev', ...(kvm ? ['--dev-bind', '/dev/kvm', '/dev/kvm'] : []), '--perms', '0755', '--dir', '/vm'],
    ...[...read].flatMap(([inside, outside]) => ['--ro-bind', outside, inside]),
    ...[...write].flatMap(([inside, outside]) => ['--bind', outside, inside]),
    ...['--chdir', '/vm', '--remount-ro', '/'],
  ]
}

function becomeNobody(group: number | null): string[] {
  return [
    '/usr/bin/setpriv',
    ...['--reuid', String(insideUid), '--regid', String(insideUid)],
    ...(group === null ? ['--clear-groups'] : ['--groups', String(group)]),
    ...['--inh-caps=-all', '--bounding-set=-all', '--no-new-privs'],
  ]
}

/** The group that may use KVM, where it is not root's. */
function kvmGroup(): number | null {
  try {
    return statSync('/dev/kvm').gid || null
  } catch {
    return null
  }
}

function rootFolder(path: string): string[] {
  if (!existsSync(path)) return []
  return lstatSync(path).isSymbolicLink() ? ['--symlink', readlinkSync(path), path] : ['--ro-bind', path, path]
}
