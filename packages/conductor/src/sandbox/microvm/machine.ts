import { readFileSync } from 'node:fs'

export type Accelerator = 'kvm' | 'tcg'

/** Numbers of the descriptors QEMU inherits. No path leads to either end. */
export const descriptor = { agent: 3, qmp: 4, state: 5, info: 6, userNamespace: 7 } as const

/** Files of one machine, as QEMU sees them. */
export interface MachineFiles {
  kernel: string
  initramfs: string
  root: string
  bundle: string
  /** The disk of what was made ahead for a faster start. */
  prepared?: string
  /** What backs the guest's memory; anonymous memory where it is left out. */
  ram?: { path: string; shared: boolean }
}

const MiB = 1024 * 1024
/** Kernel, agent and first file system, beside what a server may use. */
const guestOverheadBytes = 128 * MiB
/** QEMU itself, with the translated code of TCG. */
const translationMiB = 128
const qemuOverheadBytes = 160 * MiB

/** Memory of the guest for a server that may use so much, bytes. */
export const guestMemoryBytes = (memoryBytesMax: number): number =>
  Math.ceil((memoryBytesMax + guestOverheadBytes) / (2 * MiB)) * 2 * MiB

/** Memory of the QEMU process at most, bytes. */
export const processMemoryBytes = (guestBytes: number, accelerator: Accelerator): number =>
  guestBytes + qemuOverheadBytes + (accelerator === 'tcg' ? translationMiB * MiB : 0)

/**
 * The command line of QEMU's microvm machine (QEMU documentation, "'microvm' virtual platform"): no PCI, no firmware options, no network
 * device; two read-only disks, one port to the agent, a source of randomness. QEMU refuses itself what it will never need.
 */
export function machineArguments(
  name: string,
  files: MachineFiles,
  shape: { accelerator: Accelerator; memoryBytes: number; incoming: boolean },
): string[] {
  const { accelerator, memoryBytes, incoming } = shape
  const size = String(memoryBytes)
  const ram = files.ram
    ? `memory-backend-file,id=ram,size=${size},mem-path=${files.ram.path},share=${files.ram.shared ? 'on' : 'off'}`
    : `memory-backend-ram,id=ram,size=${size}`
  const disk = (id: string, file: string) => [
    ...['-drive', `id=${id},file=${file},format=raw,if=none,readonly=on,file.locking=off`],
    ...['-device', `virtio-blk-device,drive=${id}`],
  ]
  return [
    ...['-name', name, '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
    ...['-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny'],
    ...['-M', 'microvm,x-option-roms=off,isa-serial=on,rtc=on,memory-backend=ram', '-object', ram, '-m', `${size}B`, '-smp', '1'],
    ...(accelerator === 'kvm'
      ? ['-accel', 'kvm', '-cpu', 'host']
      : ['-accel', `tcg,tb-size=${translationMiB}`, '-cpu', 'qemu64']),
    ...[
      '-kernel',
      files.kernel,
      '-initrd',
      files.initramfs,
      '-append',
      kernelArguments(accelerator, files.prepared !== undefined),
    ],
    ...disk('root', files.root),
    ...disk('bundle', files.bundle),
    ...(files.prepared ? disk('prepared', files.prepared) : []),
    ...['-device', 'virtio-rng-device', '-device', 'virtio-serial-device'],
    ...['-chardev', `socket,id=agent,fd=${descriptor.agent}`, '-device', 'virtserialport,chardev=agent,name=maestro'],
    ...['-chardev', `socket,id=qmp,fd=${descriptor.qmp}`, '-mon', 'chardev=qmp,mode=control'],
    ...['-chardev', 'stdio,id=console,signal=off', '-serial', 'chardev:console'],
    ...(incoming ? ['-incoming', 'defer'] : []),
  ]
}

/**
 * A machine without legacy timers can only learn the rate of its clock from us: TCG hands the processor's own counter through. Guards
 * against what processors leak have no meaning on an emulated one, and cost much there.
 */
export function kernelArguments(accelerator: Accelerator, prepared: boolean): string {
  const emulated = accelerator === 'tcg' ? [`tsc_early_khz=${counterKhz()}`, 'tsc=reliable', 'mitigations=off', 'nokaslr'] : []
  return [
    'console=ttyS0',
    'quiet',
    'panic=-1',
    'random.trust_cpu=on',
    'cryptomgr.notests',
    'audit=0',
    ...(prepared ? ['maestro.prepared'] : []),
    ...emulated,
  ].join(' ')
}

function counterKhz(): number {
  const text = readFileSync('/proc/cpuinfo', 'latin1')
  return Math.round(Number(/^cpu MHz\s*:\s*([\d.]+)/m.exec(text)?.[1] ?? 1000) * 1000)
}
