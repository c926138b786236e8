import { statSync } from 'node:fs'
import { join } from 'node:path'
import type { HostPlaces } from '../system-tree.ts'

const script = ['while [ "$1" != -- ]; do mount --bind "$1" "$2" || exit 125; shift 2; done', 'shift', 'exec "$@"'].join('\n')

/**
 * How a root Conductor becomes somebody who owns nothing before bubblewrap begins. What only root may reach, the bundle above all, is
 * mounted on `stage` first, in a mount namespace that nobody else is in. The stage has a file or folder of each name already.
 */
export function staged(
  stage: string,
  places: HostPlaces,
  program: string,
  uid: number,
): { places: HostPlaces; program: string; prefix: string[] } {
  const at = (name: string) => join(stage, name)
  const mounts: [from: string, to: string][] = [
    [places.etc, at('etc')],
    [places.bundle, at('bundle')],
    [places.node, at('node')],
    [program, at('runsc')],
  ]
  if (places.prepared !== null) mounts.push([places.prepared, at('prepared')])
  const python = new Map<string, string>()
  for (const [inside, from] of places.python) {
    // Its folder, and a program of it that lies elsewhere.
    const to = at(statSync(from).isDirectory() ? 'python' : 'python3')
    mounts.push([from, to])
    python.set(inside, to)
  }
  if (places.egress) mounts.push([places.egress.bridge, at('bridge')], [places.egress.socket, at('socket')])
  if (places.egress?.ca) mounts.push([places.egress.ca, at('ca')])
  return {
    places: {
      etc: at('etc'),
      bundle: at('bundle'),
      prepared: places.prepared && at('prepared'),
      node: at('node'),
      python,
      egress: places.egress && { bridge: at('bridge'), socket: at('socket'), ca: places.egress.ca && at('ca') },
    },
    program: at('runsc'),
    prefix: [
      ...['unshare', '--mount', '--propagation', 'private', '/bin/sh', '-c', script, 'maestro-stage', ...mounts.flat(), '--'],
      ...['setpriv', '--reuid', String(uid), '--regid', String(uid), '--clear-groups', '--inh-caps=-all'],
    ],
  }
}
