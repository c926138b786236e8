/** What a guest is made of, as files of the host. */
export interface GuestImage {
  /** An uncompressed kernel (ELF): Firecracker takes no other on x86-64. */
  kernel: string
  /** The agent and the drivers it needs. */
  initramfs: string
  /** File system of the programs a server sees, read-only. */
  root: string
}

/** AF_VSOCK port on which `guest/agent.pl` listens. */
export const agentPort = 5000
/** Context id of the guest. Every machine has a host socket of its own, so all may have the same. */
export const guestCid = 3

/**
 * No PCI, no keyboard, no serial port to write to: what is not there can be neither probed nor flooded. `reboot=k` is the way out that
 * Firecracker takes as the end of the machine.
 */
export const bootArguments = [
  ...['reboot=k', 'panic=1', 'pci=off', 'i8042.noaux', 'i8042.nomux', 'i8042.dumbkbd', '8250.nr_uarts=0', 'quiet', 'loglevel=1'],
  ...['random.trust_cpu=on', 'maestro.link=vsock'],
].join(' ')

export async function findGuestImage(): Promise<GuestImage | { missing: string }> {
  return { missing: 'the guest image is not built' }
}
