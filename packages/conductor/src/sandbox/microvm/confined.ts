import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, statSync, writeFileSync } from 'node:fs'
import type { Duplex } from 'node:stream'
import type { World } from '../../world.ts'
import type { Cgroup } from '../cgroup/cgroup.ts'
import { insideUid } from '../inside.ts'
import { NamespacedTree, pipeOf, readInitPid, type TreeNews } from '../namespaced-tree.ts'
import { shimmed } from '../shim.ts'
import type { TreeEnd } from '../stdio-upstream.ts'
import { folder, systemPrograms } from '../system-tree.ts'
import { descriptor } from './machine.ts'

const openFilesMax = 256
const saidBytesMax = 16 * 1024
const kvmDevice = '/dev/kvm'

export interface Confinement {
  /** Files by the path inside; everything else of the machine but its programs and libraries is not there. */
  read: ReadonlyMap<string, string>
  write: ReadonlyMap<string, string>
  /** Removed when it ends. */
  cgroup: Cgroup | null
  /** A uid of the sandbox's own outside, where we are root and can give one. */
  uid: number | null
  kvm: boolean
  /** An open file handed over as `descriptor.state`. */
  state: number | 'ignore'
  /** Told of processes that would not go. */
  news: TreeNews
}

/** QEMU in namespaces of its own. What breaks out of the guest is nobody in an empty place, without network. */
export class ConfinedQemu {
  readonly agent: Duplex
  readonly qmp: Duplex
  /** Settles once nothing of it is left. Never rejects. */
  readonly gone: Promise<TreeEnd>
  readonly #tree: NamespacedTree
  #said = ''

  constructor(command: readonly string[], confinement: Confinement, world: World) {
    const { cgroup, uid, kvm, state, news } = confinement
    const [program, ...args] = shimmed(cgroup?.entrances ?? [], { openFilesMax }, [
      'bwrap',
      ...confinedOptions(confinement),
      '--',
      ...(uid === null ? [] : becomeNobody(kvm ? kvmGroup() : null)),
      ...command,
    ])
    const child = spawn(program!, args, {
      stdio: ['ignore', 'pipe', 'pipe', 'pipe', 'pipe', state, 'pipe', uid === null ? 'ignore' : 'pipe'],
      env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin' },
      cwd: '/',
      detached: true,
    })
    this.agent = pipeOf(child, descriptor.agent)
    this.qmp = pipeOf(child, descriptor.qmp)
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.on('error', () => {})
      stream.on('data', (chunk: Buffer) => {
        this.#said = (this.#said + chunk.toString('latin1')).slice(-saidBytesMax)
      })
    }
    this.#tree = new NamespacedTree(child, cgroup, null, world, news)
    this.gone = this.#tree.gone
    // Whoever waits for the guest has a deadline of its own and sees its streams close.
    this.#enter(child, confinement, world).catch(() => this.kill())
  }

  /** The last of what QEMU and the guest's kernel printed. Untrusted. */
  get said(): string {
    return this.#said.replace(/[^\n\x20-\x7e]/g, '').trim()
  }

  kill(): void {
    this.#tree.kill()
  }

  /** Memory it holds with its guest in it, bytes, or null where nobody counts. */
  memoryBytes(): number | null {
    return this.#tree.memoryBytes()
  }

  async #enter(child: ChildProcess, { uid, kvm }: Confinement, world: World): Promise<void> {
    const pid = await readInitPid(child, descriptor.info, world)
    this.#tree.began(pid)
    if (uid === null) return
    const group = kvm ? kvmGroup() : null
    writeFileSync(`/proc/${pid}/uid_map`, `0 0 1\n${insideUid} ${uid} 1\n`)
    writeFileSync(`/proc/${pid}/gid_map`, `0 0 1\n${insideUid} ${uid} 1\n${group ? `${group} ${group} 1\n` : ''}`)
    const waiting = pipeOf(child, descriptor.userNamespace)
    waiting.on('error', () => {})
    waiting.end('1')
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
    ...systemPrograms(''),
    ...folder('/etc'),
    ...['/etc/ld.so.cache', '/etc/alternatives'].filter(path => existsSync(path)).flatMap(path => ['--ro-bind', path, path]),
    ...['--dev', '/dev', ...(kvm ? ['--dev-bind', kvmDevice, kvmDevice] : []), ...folder('/vm')],
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

/** Whether only root may use KVM on this machine: QEMU cannot be somebody else then. */
export function isKvmRootOnly(): boolean {
  const { mode, gid } = statSync(kvmDevice)
  return (mode & 0o006) !== 0o006 && ((mode & 0o060) !== 0o060 || gid === 0)
}

/** The group that may use KVM, where it is not root's. */
function kvmGroup(): number | null {
  try {
    return statSync(kvmDevice).gid || null
  } catch {
    return null
  }
}
