/** What a driver must do for sandboxes that wait: stop and go on, end all the same, be weighed, and be missed when they should be gone. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, rmdirSync, writeFileSync } from 'node:fs'
import { it } from 'node:test'
import { findCgroups } from './cgroup/cgroups.ts'
import { ownerName } from './owner.ts'
import type { ContractSubject } from './sandbox.contract.ts'
import type { SandboxDriver } from './sandbox.ts'
import type { Specimen } from './testing/specimen.ts'

const MiB = 1024 * 1024

export function describeWaiting(
  subject: ContractSubject,
  driver: () => SandboxDriver,
  start: () => Promise<Specimen>,
  withSpecimen: (use: (specimen: Specimen) => Promise<void>) => Promise<void>,
): void {
  it('stands still while it is frozen, and goes on where it stood', async context => {
    await withSpecimen(async specimen => {
      await specimen.ask('globalThis.turns = 0; setInterval(() => turns++, 5)')
      if (!specimen.sandbox.freeze?.()) return context.skip('this driver cannot freeze')
      const before = specimen.frames.length
      const asked = specimen.ask<number>('return turns')
      await new Promise(done => setTimeout(done, 300))
      assert.equal(specimen.frames.length, before, 'it answered')
      const beganMs = performance.now()
      specimen.sandbox.thaw?.()
      const turns = await asked
      assert.ok(performance.now() - beganMs < 500)
      assert.ok(turns < 30, `${turns} turns of 5 ms`)
      specimen.sandbox.thaw?.()
      await specimen.ask('1')
    })
  })

  it('ends a frozen sandbox like any other, whoever ends it', async context => {
    const specimens = [await start(), await start()]
    for (const specimen of specimens) await specimen.ask('process.on("SIGTERM", () => {})')
    const frozen = specimens.every(({ sandbox }) => sandbox.freeze?.())
    const [asked, flooded] = specimens as [Specimen, Specimen]
    const beganMs = performance.now()
    await asked.sandbox.close()
    assert.ok(performance.now() - beganMs < 1500)
    // Ended for a limit while it stands still: it reads nothing of what it is sent.
    const frame = Buffer.from(`{"fill":"${'x'.repeat(MiB)}"}`)
    if (frozen) for (let count = 0; count < 20; count++) flooded.sandbox.send(frame)
    else await flooded.sandbox.close()
    await flooded.sandbox.exited
    assert.deepEqual([...asked.alive(), ...flooded.alive()], [])
    if (!frozen) context.skip('this driver cannot freeze')
  })

  it('tells how much memory it holds', async context => {
    await withSpecimen(async specimen => {
      await specimen.ask('1')
      const before = specimen.sandbox.memoryBytes?.() ?? null
      if (before === null) return context.skip('nobody counts here')
      await specimen.ask('globalThis.held = Buffer.alloc(64 * 1024 * 1024, 1)')
      const after = specimen.sandbox.memoryBytes?.() ?? 0
      assert.ok(before > 5 * MiB && before < 200 * MiB, `${before} bytes at first`)
      assert.ok(after - before > 50 * MiB && after - before < 100 * MiB, `${after - before} bytes more`)
    })
  })

  it('finds what was left over, and nothing while all is well', async context => {
    if (!driver().leaks) return context.skip('this driver does not look')
    const leaks = async () => (await driver().leaks?.())!
    await withSpecimen(async specimen => {
      await specimen.ask('1')
      assert.deepEqual(await leaks(), { processes: 0, mounts: 0, cgroups: 0, files: 0 })
    })
    assert.deepEqual(await leaks(), { processes: 0, mounts: 0, cgroups: 0, files: 0 })
    const [parent] = subject.counts ? [...(findCgroups()?.folders.values() ?? [])] : []
    if (!parent) return
    const group = `${parent}/${ownerName}-sbx_forgotten`
    mkdirSync(group)
    const stray = spawn('sleep', ['100'], { stdio: 'ignore' })
    try {
      writeFileSync(`${group}/cgroup.procs`, String(stray.pid))
      const { processes, cgroups } = await leaks()
      assert.deepEqual({ processes, cgroups }, { processes: 1, cgroups: 1 })
    } finally {
      stray.kill('SIGKILL')
      await once(stray, 'exit')
      rmdirSync(group)
    }
  })
}
