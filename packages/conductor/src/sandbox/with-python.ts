import { findPython, type Python } from '../find-python.ts'
import type { SandboxSpec } from './sandbox.ts'

/** The same, with the Python of this machine where the program is written in it. Throws `runtime_missing`. */
export async function withPython(spec: SandboxSpec, given?: Python): Promise<SandboxSpec> {
  if (spec.program.runtime !== 'python' || spec.python) return spec
  return { ...spec, python: given ?? (await findPython()) }
}
