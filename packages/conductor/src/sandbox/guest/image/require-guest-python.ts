import { ConductorError } from '@maestro/contract'
import { findPython, type Python } from '../../../find-python.ts'
import type { SandboxSpec } from '../../sandbox.ts'
import type { GuestImage } from './guest-image.ts'

/** The Python of an image, such as `3.11`; null where it has none. Debian names the package by it. */
export function guestPython({ parts }: Pick<GuestImage, 'parts'>): string | null {
  for (const file of Object.keys(parts.packages)) {
    const version = /^python(\d+\.\d+)-minimal_/.exec(file)?.[1]
    if (version) return version
  }
  return null
}

/**
 * Says no where guests have another Python than the one that installs: packages hold machine code and bytecode of one.
 * Throws `sandbox_unavailable`.
 */
export async function requireGuestPython(
  driver: string,
  { id, program }: Pick<SandboxSpec, 'id' | 'program'>,
  image: Pick<GuestImage, 'parts'>,
  find: () => Promise<Python> = findPython,
): Promise<void> {
  if (program.runtime !== 'python') return
  const inside = guestPython(image)
  // What is installed already needs no Python of the machine.
  const outside = await find().catch(() => null)
  if (inside !== null && (outside === null || outside.version.startsWith(`${inside}.`))) return
  throw new ConductorError(
    'sandbox_unavailable',
    inside === null
      ? `${driver}: guests have no Python; run maestro image build`
      : `${driver}: guests have Python ${inside}, and servers are installed here with ${outside?.version} (${outside?.program}); install Python ${inside} with its pip, or run Python servers under MAESTRO_DRIVER=bubblewrap`,
    { sandbox: id },
  )
}
