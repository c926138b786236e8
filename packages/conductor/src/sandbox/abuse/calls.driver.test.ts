/**
 * Goal: no system call leads out of a sandbox, down into rarely walked parts of the kernel, or across to a neighbour.
 * Method: every attack of `calls.py` runs as root outside first, in namespaces that are thrown away; what does not work there either, such
 * as a call the kernel was built without, proves nothing and is skipped with what it said. Then it runs inside.
 */
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { makeCells, runInside } from './cell.ts'
import { runProgramOutside } from './outside.ts'
import { againstEach } from './subjects.ts'

type Said = Record<string, string>

/** What gVisor's kernel does for its server without the machine's: there is nobody else in there whom it could harm. */
const ownAffair: Record<string, string> = Object.fromEntries(
  (
    [
      ['namespaces that exist in gVisor only', 'clone_user'],
      ['gVisor tells of no devices of the machine', 'socket_netlink_uevent'],
      ['a number that gVisor only keeps', 'first_in_line'],
    ] as const
  ).flatMap(([why, names]) => names.split(' ').map(name => [name, why])),
)

const supported = process.platform === 'linux' && process.arch === 'x64'
const outside = supported ? await runProgramOutside<Said>('calls.py') : {}

if (!supported) it('system calls that lead out', { skip: 'the attacks are written for Linux on x86_64' }, () => {})
else {
  await againstEach('a system call that leads out is refused', subject => {
    const cells = makeCells(subject)
    let inside: Promise<Said> | null = null
    for (const [name, control] of Object.entries(outside)) {
      it(name, async context => {
        if (control !== 'done') return context.skip(`does not work outside either: ${control}`)
        inside ??= cells.using(specimen => runInside<Said>(specimen, 'calls.py'))
        const said = (await inside)[name]
        if (subject.ownKernel && name in ownAffair) return context.skip(ownAffair[name])
        assert.match(
          said ?? 'nothing',
          /^(EPERM|EACCES|ENOSYS|EAFNOSUPPORT|EINVAL|ENODEV|ENOENT|EPROTONOSUPPORT|ESOCKTNOSUPPORT|EOPNOTSUPP|ENOTSUP|ENXIO|EBADF|killed \d+)$/,
        )
      })
    }
  })
}
