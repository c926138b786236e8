import type { SandboxLimits } from '../sandbox.ts'
import type { MachineConfiguration, RateLimiter } from './api.ts'

const MiB = 1024 * 1024
const refillMs = 1000

/** What the guest’s kernel and agent need beside what the server may have. */
const guestOwnMiB = 128
/** What Firecracker itself holds beside the guest’s memory: its program, device queues, the snapshot it writes. */
const monitorOwnMiB = 64
/** Threads of Firecracker beside one per virtual CPU: its own, the API’s, one per asynchronous drive. */
const monitorThreads = 16

/** The machine that a server with these limits gets. A share of a CPU is rounded up here and held by the control group. */
export function machineOf(limits: SandboxLimits): MachineConfiguration {
  return {
    vcpu_count: vcpusOf(limits),
    mem_size_mib: Math.ceil(limits.memoryBytesMax / MiB) + guestOwnMiB,
    smt: false,
    track_dirty_pages: false,
  }
}

const vcpusOf = ({ cpusMax }: SandboxLimits): number => Math.min(32, Math.max(1, Math.ceil(cpusMax)))

/** How fast a drive may be read: a server that reads without end leaves the disk to others. */
export const readLimiter: RateLimiter = {
  bandwidth: { size: 256 * MiB, refill_time: refillMs, one_time_burst: 512 * MiB },
  ops: { size: 20_000, refill_time: refillMs, one_time_burst: 40_000 },
}

/** Random bytes cost the host CPU time: enough for any server’s keys, too little to keep a core busy. */
export const entropyLimiter: RateLimiter = {
  bandwidth: { size: 64 * 1024, refill_time: refillMs },
  ops: { size: 1000, refill_time: refillMs },
}

/** What the whole Firecracker process may use of the host, the guest within it; its control group holds it to that. */
export function processLimitsOf(limits: SandboxLimits): SandboxLimits {
  const { vcpu_count, mem_size_mib } = machineOf(limits)
  return { ...limits, memoryBytesMax: (mem_size_mib + monitorOwnMiB) * MiB, pidsMax: vcpu_count + monitorThreads }
}
