import { existsSync, lstatSync, readlinkSync } from 'node:fs'
import type { Python } from '../../find-python.ts'
import { commandOf, type Places, runtimeEnvironment } from '../command.ts'
import type { SandboxSpec } from '../sandbox.ts'

/** Who the server is inside; outside it is somebody else or nobody. */
export const insideUid = 65_534
export const insideHome = '/home/sandbox'
export const insideBundle = '/bundle'
const insideNode = '/run/maestro/node'

/** Numbers of the inherited descriptors, as the driver opens them. */
export const descriptor = { seccomp: 3, info: 4, options: 5, userNamespace: 6 } as const

export interface HostFacts {
  /** The Node that runs us, which runs the server too. */
  node: string
  /** The folder of the small files of `etc.ts`. */
  etc: string
  /** The Python that runs the servers written in it; not needed for others. */
  python?: Python
  /** Root and unprivileged user need different ways to the same unprivileged identity inside. */
  asRoot: boolean
}

/** Files from our side that a sandbox with egress needs. */
export interface EgressMounts {
  socket: string
  bridge: string
}
export const insideEgress: EgressMounts = { socket: '/run/maestro/egress.sock', bridge: '/run/maestro/egress-bridge.cjs' }

/** What every sandbox sees of the machine, where the machine has it: programs, libraries, trust, time zone, fonts. All read-only. */
const systemPaths = [
  '/etc/ssl/certs',
  '/etc/ssl/openssl.cnf',
  '/etc/pki/tls/certs',
  '/etc/ca-certificates',
  '/etc/ld.so.cache',
  '/etc/alternatives',
  '/etc/localtime',
  '/etc/mime.types',
  '/etc/fonts',
  // Debian's Chromium does not start without it.
  '/etc/chromium.d',
  '/nix/store',
]
const etcFiles = ['passwd', 'group', 'hosts', 'nsswitch.conf'] as const
/** On most systems links into /usr, on some still folders of their own. */
const rootFolders = ['/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32'] as const

/**
 * The options of bubblewrap for one sandbox. They go through a descriptor, never over a command line, because they hold the server's
 * environment and command lines can be read by everybody on the machine.
 */
export function bubblewrapOptions(spec: SandboxSpec, host: HostFacts, egress: EgressMounts | null): string[] {
  const part = (share: number) => String(Math.max(1, Math.floor(spec.limits.diskBytesMax * share)))
  // Shared memory is a tmpfs too, and comes out of the same room.
  const [half, temporary, shared] = [part(1 / 2), part(3 / 8), part(1 / 8)]
  return [
    ...namespaces(host.asRoot),
    ...['--die-with-parent', '--new-session', '--hostname', 'sandbox', '--clearenv'],
    ...Object.entries(sandboxEnvironment(spec)).flatMap(([name, value]) => ['--setenv', name, value]),
    ...['--ro-bind', '/usr', '/usr'],
    ...rootFolders.flatMap(systemFolder),
    ...['--perms', '0755', '--dir', '/etc'],
    ...systemPaths.filter(path => existsSync(path)).flatMap(path => [...parentsOf(path), '--ro-bind', path, path]),
    ...etcFiles.flatMap(name => ['--ro-bind', `${host.etc}/${name}`, `/etc/${name}`]),
    ...['--proc', '/proc', '--dev', '/dev', '--perms', '1777', '--size', shared, '--tmpfs', '/dev/shm', '--remount-ro', '/dev'],
    ...['--perms', '0755', '--dir', '/run', '--perms', '0755', '--dir', '/run/maestro', '--ro-bind', host.node, insideNode],
    ...(egress ? ['--ro-bind', egress.bridge, insideEgress.bridge, '--bind', egress.socket, insideEgress.socket] : []),
    ...(host.python ? pythonFolder(host.python) : []),
    ...['--ro-bind', spec.bundle, insideBundle],
    ...['--perms', '0755', '--dir', '/home'],
    ...['--perms', '1777', '--size', temporary, '--tmpfs', '/tmp', '--perms', '0777', '--size', half, '--tmpfs', insideHome],
    ...['--chdir', insideHome, '--remount-ro', '/'],
  ]
}

/** The command that runs inside: Node with the program, as nobody. */
export function insideCommand(spec: SandboxSpec, host: HostFacts, egress: boolean): string[] {
  return [
    ...(host.asRoot ? becomeNobody : []),
    ...commandOf(spec, placesOf(host), egress ? ['--require', insideEgress.bridge] : []),
  ]
}

const placesOf = ({ python }: HostFacts): Places => ({
  node: insideNode,
  bundle: insideBundle,
  ...(python ? { python: python.program } : {}),
})

/** A Python that somebody put elsewhere than under /usr, at its own place, since its libraries are found from there. */
function pythonFolder({ prefix, program }: Python): string[] {
  const isSeen = (path: string) => path.startsWith('/usr/') || path === '/usr'
  return [prefix, program]
    .filter((path, index, all) => !isSeen(path) && !all.slice(0, index).some(other => path.startsWith(`${other}/`)))
    .flatMap(path => [...parentsOf(path), '--ro-bind', path, path])
}

/** Root inside the namespace is only needed until the identity is changed; nothing of it can come back. */
const becomeNobody = [
  '/usr/bin/setpriv',
  ...['--reuid', String(insideUid), '--regid', String(insideUid), '--clear-groups'],
  ...['--inh-caps=-all', '--bounding-set=-all', '--no-new-privs'],
]

function namespaces(asRoot: boolean): string[] {
  const others = ['--unshare-user', '--unshare-pid', '--unshare-net', '--unshare-ipc', '--unshare-uts', '--unshare-cgroup-try']
  if (!asRoot) {
    return [...others, '--uid', String(insideUid), '--gid', String(insideUid), '--disable-userns', '--cap-drop', 'ALL']
  }
  // As root we map a uid of the sandbox's own ourselves, so the namespace waits for us; see `bubblewrap.ts`.
  const keep = ['CAP_SETUID', 'CAP_SETGID', 'CAP_SETPCAP'].flatMap(capability => ['--cap-add', capability])
  return [...others, '--userns-block-fd', String(descriptor.userNamespace), '--cap-drop', 'ALL', ...keep]
}

/** What the driver gives comes first: a deployment may set its own PATH or TZ, and only harms itself. */
export function sandboxEnvironment(spec: SandboxSpec): Record<string, string> {
  return {
    PATH: '/run/maestro:/usr/local/bin:/usr/bin:/bin',
    HOME: insideHome,
    TMPDIR: '/tmp',
    LANG: 'C.UTF-8',
    ...runtimeEnvironment(spec.program),
    ...spec.env,
  }
}

/** Folders on the way to a path. Left to itself bubblewrap makes them for root alone. */
function parentsOf(path: string): string[] {
  const names = path.split('/').slice(1, -1)
  return names.flatMap((_, index) => ['--perms', '0755', '--dir', `/${names.slice(0, index + 1).join('/')}`])
}

function systemFolder(path: string): string[] {
  if (!existsSync(path)) return []
  return lstatSync(path).isSymbolicLink() ? ['--symlink', readlinkSync(path), path] : ['--ro-bind', path, path]
}
