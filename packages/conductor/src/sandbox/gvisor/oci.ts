/** The OCI bundle of one sandbox, by the OCI runtime specification 1.0.2, `config.md` and `config-linux.md`. */
import { refusedCalls } from '../bubblewrap/seccomp/policy.ts'
import { limitsWithBridge } from '../egress/bridged-command.ts'
import { insideCommand, insideHome, insideUid, sandboxEnvironment } from '../inside.ts'
import type { SandboxSpec } from '../sandbox.ts'

/** Where the root folder of the server is for runsc. */
export const ociRoot = '/sandbox'

const openFilesMax = 4096
/**
 * Address space that Node reserves and mostly never touches. gVisor bounds that and not what is used, so without a control group a server
 * may have so much on top. Measured with Node 24 on x86_64: 1390 MiB, and 180 for each worker thread.
 */
const reservedByNodeBytes = 2048 * 1024 * 1024
/** Guard regions of WebAssembly take 10 GiB of address space each; Node can do without. */
const sparingNodeOptions = ['--disable-wasm-trap-handler']

/**
 * What gVisor's kernel would do for nobody too, such as namespaces and key rings, is refused before it looks. No allow-list as in
 * bubblewrap: that kernel answers ENOSYS to what it does not know, which an older runsc cannot be told to answer.
 */
const filter = {
  defaultAction: 'SCMP_ACT_ALLOW',
  architectures: ['SCMP_ARCH_X86_64'],
  syscalls: [{ names: refusedCalls, action: 'SCMP_ACT_ERRNO' }],
}

/**
 * The `config.json` for runsc. The root folder is put together before, by bubblewrap; on top of it come what the kernel of gVisor makes up
 * itself: /proc, /dev and the two folders that can be written to. `counted`: whether a control group bounds memory already.
 */
export function ociConfig(spec: SandboxSpec, egress: boolean, counted: boolean): Record<string, unknown> {
  const part = (share: number) => Math.max(1, Math.floor(spec.limits.diskBytesMax * share))
  // Shared memory is a tmpfs too, and comes out of the same room.
  const [half, temporary, shared] = [part(1 / 2), part(3 / 8), part(1 / 8)]
  return {
    ociVersion: '1.0.2',
    process: {
      terminal: false,
      user: { uid: insideUid, gid: insideUid },
      args: insideCommand(spec, egress, counted ? [] : sparingNodeOptions),
      env: Object.entries(sandboxEnvironment(spec)).map(([name, value]) => `${name}=${value}`),
      cwd: insideHome,
      capabilities: { bounding: [], effective: [], inheritable: [], permitted: [], ambient: [] },
      rlimits: [
        limit('RLIMIT_NOFILE', openFilesMax),
        limit('RLIMIT_CORE', 0),
        limit('RLIMIT_NPROC', limitsWithBridge(spec).pidsMax),
        ...(counted ? [] : [limit('RLIMIT_AS', spec.limits.memoryBytesMax + reservedByNodeBytes)]),
      ],
      noNewPrivileges: true,
    },
    root: { path: ociRoot, readonly: true },
    hostname: 'sandbox',
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      { destination: '/dev', type: 'tmpfs', source: 'tmpfs' },
      { destination: '/dev/shm', type: 'tmpfs', source: 'tmpfs', options: ['mode=1777', `size=${shared}`] },
      { destination: '/tmp', type: 'tmpfs', source: 'tmpfs', options: ['mode=1777', `size=${temporary}`] },
      { destination: insideHome, type: 'tmpfs', source: 'tmpfs', options: ['mode=0777', `size=${half}`] },
    ],
    linux: {
      namespaces: ['pid', 'network', 'ipc', 'uts', 'mount'].map(type => ({ type })),
      // Elsewhere runsc has no names for calls, and its kernel, which knows few of these, answers by itself.
      ...(process.arch === 'x64' ? { seccomp: filter } : {}),
    },
  }
}

const limit = (type: string, value: number) => ({ type, hard: value, soft: value })
