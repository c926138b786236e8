import { existsSync, lstatSync, readlinkSync } from 'node:fs'
import type { Python } from '../find-python.ts'
import { type EgressMounts, insideBundle, insideEgress, insideNode, insidePrepared } from './inside.ts'

/** Where the things that are not of the system are on the machine. */
export interface HostPlaces {
  /** The Node that runs us, which runs the server too. */
  node: string
  /** The folder of the small files of `etc.ts`. */
  etc: string
  bundle: string
  /** `pythonPlaces` of the Python that runs the server, where it is written in it, by their path inside. */
  python: ReadonlyMap<string, string>
  /** `preparedFolderOf` the sandbox. */
  prepared: string | null
  egress: EgressMounts | null
}

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
 * The options of bubblewrap that put together, below `root`, all that a sandbox can read: programs of the system, the runtime, the bundle,
 * and with egress the way to the proxy. Empty folders stand where a driver mounts what can be written to.
 */
export function systemTree(root: '' | '/sandbox', places: HostPlaces): string[] {
  const { node, etc, bundle, prepared, egress } = places
  const bind = (from: string, to: string): string[] => ['--ro-bind', from, `${root}${to}`]
  return [
    ...(root === '' ? [] : folder(root)),
    ...systemPrograms(root),
    ...folder(`${root}/etc`),
    ...systemPaths
      .filter(path => existsSync(path))
      .flatMap(path => [...parentsOf(path).flatMap(parent => folder(`${root}${parent}`)), ...bind(path, path)]),
    ...etcFiles.flatMap(name => bind(`${etc}/${name}`, `/etc/${name}`)),
    ...['/run', '/run/maestro'].flatMap(path => folder(`${root}${path}`)),
    ...bind(node, insideNode),
    ...(egress ? [...bind(egress.bridge, insideEgress.bridge), '--bind', egress.socket, `${root}${insideEgress.socket}`] : []),
    ...(egress?.ca ? bind(egress.ca, insideEgress.ca) : []),
    ...[...places.python].flatMap(([path, from]) => [
      ...parentsOf(path).flatMap(parent => folder(`${root}${parent}`)),
      ...bind(from, path),
    ]),
    ...bind(bundle, insideBundle),
    ...(prepared === null ? [] : bind(prepared, insidePrepared)),
    ...folder(`${root}/home`),
  ]
}

/** A Python that somebody put elsewhere than under /usr is at its own place inside, since it finds its libraries from there. */
export function pythonPlaces(python: Python | undefined): Map<string, string> {
  if (!python) return new Map()
  const { prefix, program } = python
  const paths = [prefix, program].filter(path => !path.startsWith('/usr/') && path !== '/usr')
  return new Map(paths.filter(path => !paths.some(other => path.startsWith(`${other}/`))).map(path => [path, path]))
}

/** Programs and libraries of the machine. */
export function systemPrograms(root: '' | '/sandbox'): string[] {
  return ['--ro-bind', '/usr', `${root}/usr`, ...rootFolders.flatMap(path => systemFolder(path, `${root}${path}`))]
}

/** Left to itself bubblewrap makes folders for root alone. */
export const folder = (path: string): string[] => ['--perms', '0755', '--dir', path]

/** Folders on the way to a path. */
function parentsOf(path: string): string[] {
  const names = path.split('/').slice(1, -1)
  return names.map((_, index) => `/${names.slice(0, index + 1).join('/')}`)
}

function systemFolder(path: string, to: string): string[] {
  if (!existsSync(path)) return []
  return lstatSync(path).isSymbolicLink() ? ['--symlink', readlinkSync(path), to] : ['--ro-bind', path, to]
}
