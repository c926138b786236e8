import { insideCommand, insideHome, insideUid, sandboxEnvironment } from '../inside.ts'
import type { SandboxSpec } from '../sandbox.ts'
import { type HostPlaces, systemTree } from '../system-tree.ts'
import { giveLeadingBack, withoutLeading } from './late-variables.ts'

/** Numbers of the inherited descriptors, as the driver opens them. */
export const descriptor = { seccomp: 3, info: 4, options: 5, userNamespace: 6 } as const

/**
 * The options of bubblewrap for one sandbox. They go through a descriptor, never over a command line, because they hold the server's
 * environment and command lines can be read by everybody on the machine. `asRoot`: root and an ordinary user need different ways to the
 * same unprivileged identity inside. `masks`: what of /proc is hidden.
 */
export function bubblewrapOptions(spec: SandboxSpec, places: HostPlaces, asRoot: boolean, masks: readonly string[]): string[] {
  const part = (share: number) => String(Math.max(1, Math.floor(spec.limits.diskBytesMax * share)))
  // Shared memory is a tmpfs too, and comes out of the same room.
  const [half, temporary, shared] = [part(1 / 2), part(3 / 8), part(1 / 8)]
  return [
    ...namespaces(asRoot),
    ...['--die-with-parent', '--new-session', '--hostname', 'sandbox', '--clearenv'],
    ...Object.entries(environmentOf(spec, asRoot)).flatMap(([name, value]) => ['--setenv', name, value]),
    ...systemTree('', places),
    ...[
      '--proc',
      '/proc',
      ...masks,
      '--dev',
      '/dev',
      '--perms',
      '1777',
      '--size',
      shared,
      '--tmpfs',
      '/dev/shm',
      '--remount-ro',
      '/dev',
    ],
    ...['--perms', '1777', '--size', temporary, '--tmpfs', '/tmp', '--perms', '0777', '--size', half, '--tmpfs', insideHome],
    ...['--chdir', insideHome, '--remount-ro', '/'],
  ]
}

/** The command that bubblewrap runs: the server, as nobody. */
export function commandAsNobody(spec: SandboxSpec, egress: boolean, asRoot: boolean): string[] {
  if (!asRoot) return insideCommand(spec, egress)
  return [...becomeNobody, ...giveLeadingBack(sandboxEnvironment(spec)), ...insideCommand(spec, egress)]
}

const environmentOf = (spec: SandboxSpec, asRoot: boolean): Record<string, string> =>
  asRoot ? withoutLeading(sandboxEnvironment(spec)) : sandboxEnvironment(spec)

/**
 * Watchers for files are counted to whoever made the namespace, to root for all sandboxes and all of the machine together. Each gets a
 * few, so that one cannot take them all.
 */
const boundWatchers =
  '{ echo 4 >/proc/sys/user/max_inotify_instances; echo 8192 >/proc/sys/user/max_inotify_watches; } 2>/dev/null; exec "$@"'

/** Root inside the namespace is only needed until the identity is changed; nothing of it can come back. */
const becomeNobody = [
  ...['/bin/sh', '-c', boundWatchers, 'maestro-nobody', '/usr/bin/setpriv'],
  ...['--reuid', String(insideUid), '--regid', String(insideUid), '--clear-groups'],
  ...['--inh-caps=-all', '--bounding-set=-all', '--no-new-privs'],
]

function namespaces(asRoot: boolean): string[] {
  const others = ['--unshare-user', '--unshare-pid', '--unshare-net', '--unshare-ipc', '--unshare-uts', '--unshare-cgroup-try']
  if (!asRoot) {
    return [...others, '--uid', String(insideUid), '--gid', String(insideUid), '--disable-userns', '--cap-drop', 'ALL']
  }
  // As root we map a uid of the sandbox's own ourselves, so the namespace waits for us; see `bubblewrap.ts`.
  const keep = ['CAP_SETUID', 'CAP_SETGID', 'CAP_SETPCAP', 'CAP_SYS_RESOURCE'].flatMap(capability => ['--cap-add', capability])
  return [...others, '--userns-block-fd', String(descriptor.userNamespace), '--cap-drop', 'ALL', ...keep]
}
