import type { HostPlaces } from '../system-tree.ts'
import { folder, systemPrograms, systemTree } from '../system-tree.ts'
import { ociRoot } from './oci.ts'
import type { Platform } from './platform.ts'

/** Numbers of the inherited descriptors, as the driver opens them. */
export const descriptor = { config: 3, info: 4, options: 5 } as const

const bundle = '/oci'
const runsc = '/oci/runsc'
/** What runsc writes about its sandbox: a few kilobytes. */
const stateBytesMax = 4 * 1024 * 1024

/**
 * The options of bubblewrap around runsc. runsc needs to be root of a user namespace to build its own walls, and mounts and unmounts while
 * it does; so all of it happens where there is nothing but what the server may read. Outside it is nobody, whatever it is inside.
 */
export function outerOptions(places: HostPlaces, program: string, platform: Platform): string[] {
  return [
    ...['--unshare-user', '--unshare-pid', '--unshare-net', '--unshare-ipc', '--unshare-uts', '--unshare-cgroup-try'],
    ...['--uid', '0', '--gid', '0', '--cap-add', 'ALL', '--die-with-parent', '--new-session', '--clearenv'],
    ...systemPrograms(''),
    ...['--proc', '/proc', '--dev', '/dev', ...(platform === 'kvm' ? ['--dev-bind', '/dev/kvm', '/dev/kvm'] : [])],
    ...['--perms', '1777', '--size', String(stateBytesMax), '--tmpfs', '/tmp'],
    ...['--perms', '0700', '--size', String(stateBytesMax), '--tmpfs', '/state'],
    ...systemTree(ociRoot, places),
    ...['/proc', '/dev', '/sys', '/tmp', '/home/sandbox'].flatMap(path => folder(`${ociRoot}${path}`)),
    ...['--ro-bind', program, runsc],
    // Never a file of the machine, because it holds the server's environment: bubblewrap takes it from a pipe into its own memory.
    ...['--perms', '0600', '--file', String(descriptor.config), `${bundle}/config.json`],
    ...['--chdir', '/', '--remount-ro', '/'],
  ]
}

/** The command that bubblewrap runs. The id is how its processes are known on the machine. */
export function runscCommand(id: string, platform: Platform, egress: boolean): string[] {
  return [
    ...[runsc, '--root=/state', '--log=/dev/null', '--rootless', '--ignore-cgroups', '--network=none', `--platform=${platform}`],
    // Without it the filter of the bundle would be passed over.
    '--oci-seccomp',
    // The way to the egress proxy is a socket of the machine, the only one there is below the root folder.
    ...(egress ? ['--host-uds=open'] : []),
    ...['run', `--bundle=${bundle}`, id],
  ]
}
