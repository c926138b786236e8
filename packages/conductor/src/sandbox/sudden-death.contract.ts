/** What is left of a driver's sandboxes when Conductor is killed: nothing. A part of the contract of every driver. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { it } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { ContractSubject } from './sandbox.contract.ts'
import type { SandboxDriver } from './sandbox.ts'
import { leftOf } from './testing/left-of.ts'
import { processesOf } from './testing/specimen.ts'

export function describeSuddenDeath(
  subject: ContractSubject,
  driver: () => SandboxDriver,
  bundle: string,
  until: (what: string, condition: () => boolean) => Promise<void>,
): void {
  for (const state of ['running', 'frozen'])
    it(`leaves nothing when Conductor is killed, its sandbox ${state}`, async () => {
      const mark = randomUUID()
      const groups = subject.counts ? 'counted' : 'bare'
      const hold = fileURLToPath(new URL('./testing/hold.ts', import.meta.url))
      const holder = spawn(process.execPath, [hold, driver().name, bundle, mark, groups, state, subject.data ?? ''], {
        stdio: ['pipe', 'pipe', 'inherit'],
      })
      const [said] = await once(holder.stdout, 'data')
      const id = String(said).trim()
      assert.ok(processesOf(mark, id).length >= Math.min(2, subject.processesSeen ?? 2))
      holder.kill('SIGKILL')
      await until('the tree is gone', () => processesOf(mark, id).length === 0)
      // The next Conductor removes folders and control groups of the dead one.
      await until('folders and groups are gone', () => {
        void subject.make().close()
        return leftOf(`-${holder.pid}-`).length === 0
      })
    })
}
