import { randomBytes, randomUUID } from 'node:crypto'

/** Throws dice: the engine's, the kernel's. */
export const animal = {
  tools: { uuid: () => randomUUID(), number: () => Math.random(), bytes: () => randomBytes(16).toString('hex') },
}
