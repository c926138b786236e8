/** The drivers that must hold against abuse. */
import { describe, it } from 'node:test'
import { BubblewrapDriver } from '../bubblewrap/bubblewrap.ts'
import { GvisorDriver } from '../gvisor/gvisor.ts'
import type { SandboxDriver } from '../sandbox.ts'
import { quietWorld } from '../testing/specimen.ts'

export interface AbuseSubject {
  name: string
  make(): SandboxDriver
  /** Whether servers have a kernel of their own, so that what they do to it they do to themselves. */
  ownKernel: boolean
}

const subjects: AbuseSubject[] = [
  { name: 'bubblewrap', make: () => new BubblewrapDriver(quietWorld()), ownKernel: false },
  { name: 'gVisor', make: () => new GvisorDriver(quietWorld()), ownKernel: true },
]

/** Defines the tests once for every driver that this machine can run; for the others one test that says why not. */
export async function againstEach(title: string, define: (subject: AbuseSubject) => void): Promise<void> {
  for (const subject of subjects) {
    const trial = subject.make()
    const { usable, detail } = await trial.check()
    await trial.close()
    if (usable) describe(`${subject.name}: ${title}`, { timeout: 180_000 }, () => define(subject))
    else it(`${subject.name}: ${title}`, { skip: detail }, () => {})
  }
}
