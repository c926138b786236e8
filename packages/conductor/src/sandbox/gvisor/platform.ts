/** How gVisor takes over the system calls of its server. Which ones work depends on the machine and on the version of runsc. */
import { accessSync, constants } from 'node:fs'

export const platforms = ['systrap', 'kvm', 'ptrace'] as const
export type Platform = (typeof platforms)[number]

/**
 * Platforms worth a try, the best first: systrap is fast everywhere where runsc has it, kvm needs the device and virtualisation that works,
 * ptrace is slow and always there. Whether the device really runs anything is only known once something has run.
 */
export function platformsToTry(): Platform[] {
  return platforms.filter(platform => platform !== 'kvm' || canOpenKvm())
}

function canOpenKvm(): boolean {
  // A root Conductor runs runsc as somebody else, whom root's right to open the device does not help.
  if (process.getuid?.() === 0) return false
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK)
    return true
  } catch {
    return false
  }
}

/** What was found, by the program tried: for the life of this process, because a machine does not change its mind. */
const found = new Map<string, Promise<Platform>>()

/** The first platform on which `tryOut` succeeds. Throws what the last one threw; then nothing is remembered. */
export function findPlatform(program: string, tryOut: (platform: Platform) => Promise<void>): Promise<Platform> {
  let finding = found.get(program)
  if (!finding) {
    finding = firstOf(platformsToTry(), tryOut)
    found.set(program, finding)
    finding.catch(() => found.delete(program))
  }
  return finding
}

async function firstOf(candidates: Platform[], tryOut: (platform: Platform) => Promise<void>): Promise<Platform> {
  let failure: unknown
  for (const platform of candidates) {
    try {
      await tryOut(platform)
      return platform
    } catch (cause) {
      failure = cause
    }
  }
  throw failure
}
