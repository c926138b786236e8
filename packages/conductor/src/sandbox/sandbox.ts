/** The port every sandbox driver stands behind. One contract test (`sandbox.contract.ts`) holds them all to it. */
import type { ErrorCode, Leaks, SandboxId } from '@maestro/contract'
import type { Python } from '../find-python.ts'
import type { Upstream } from '../session/stages.ts'

export interface SandboxLimits {
  memoryBytesMax: number
  pidsMax: number
  /** Share of one CPU: 1.5 means one and a half cores. */
  cpusMax: number
  /** Size of the private /tmp and of the working folder together. */
  diskBytesMax: number
  /** One line of standard output; a longer one ends the sandbox with `sandbox_limit_reached`. */
  lineBytesMax: number
}

export interface SandboxSpec {
  id: SandboxId
  /** Folder on the host that holds the release, mounted read-only. */
  bundle: string
  program: Program
  /** The Python that runs the program, where it is written in it; drivers find it themselves. */
  python?: Python
  args: readonly string[]
  /** What was made ahead so that the program starts faster; left out, its file is run as it is. */
  prepared?: Prepared
  /**
   * The program waits for one line on its standard input that brings the rest of its environment (`held.ts`), after it has said on
   * standard output that it does: `loaded` with its dependencies in memory, `bare` with nothing of the bundle run yet.
   */
  held?: 'loaded' | 'bare'
  /** The whole environment the server sees beside what the driver itself needs. */
  env: Readonly<Record<string, string>>
  /** Values that come only later but must not be readable in standard error either, by name. */
  masked?: Readonly<Record<string, string>>
  /** Hosts it may reach (`name`, `*.name`, either with `:port`); empty means no network at all. */
  egress: readonly string[]
  /** Whether the HTTP exchanges of its connections go on the tape. */
  egressRecord?: boolean
  limits: SandboxLimits
  /** Nobody waits for it: until `Upstream.hurry` others go first on the CPU, where the driver can tell the system so. */
  unhurried?: boolean
}

/** What runs in a sandbox: a file of the bundle and what interprets it. */
export interface Program {
  /** `native` is a file the kernel runs itself. */
  runtime: 'node' | 'python' | 'native'
  /** Relative to the bundle. */
  entry: string
}

/** Files for a faster start. Mounted read-only at one place by drivers that mount; run through `command.ts` by all. */
export interface Prepared {
  /** On the host. */
  folder: string
  /** `one-file`: all modules in one; `snapshot`: a heap in which dependencies are loaded; `build`: makes these (`loader/build.cjs`). */
  kind: 'one-file' | 'snapshot' | 'build'
}

export const driverNames = ['bubblewrap', 'gvisor', 'microvm', 'firecracker', 'process'] as const
export type DriverName = (typeof driverNames)[number]

export type Sandbox = Upstream

export interface DriverCheck {
  usable: boolean
  /** One line a person can act on: what works, or what is missing and the command that mends it. */
  detail: string
  /** What is weaker than it should be, such as `no cgroup: memory is bounded by rlimit only`. */
  weaknesses: string[]
}

export interface SandboxDriver {
  readonly name: DriverName
  /** Processes of ours found alive after their sandbox had ended; more than none is a mistake of ours. */
  readonly orphans?: number
  /** What of ours is on the machine now and belongs to no sandbox that runs. Looks, so ask every few seconds at most. */
  leaks?(): Promise<Leaks>
  check(): Promise<DriverCheck>
  /** Makes what the driver lacks and can make by itself, such as the image of its guests. Called where the driver was chosen, before `check`. */
  prepare?(): Promise<void>
  /** Resolves once the process tree exists; the server need not be ready. Throws `sandbox_start_failed`, `sandbox_unavailable`. */
  start(spec: SandboxSpec): Promise<Sandbox>
  /** Kills every sandbox of this driver and removes what it made on the machine. */
  close(): Promise<void>
}

/** Why a sandbox ended: asked to, or the code of what went wrong. */
export interface Exit {
  code: number | null
  signal: string | null
  reason: 'closed' | Extract<ErrorCode, 'sandbox_crashed' | 'sandbox_limit_reached' | 'server_garbled'>
  /** The last of standard error, at most 4 KiB, for the message a person sees. */
  stderrTail: string
}
