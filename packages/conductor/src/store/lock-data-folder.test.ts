import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { fileURLToPath } from 'node:url'
import { lockDataFolder } from './lock-data-folder.ts'
import { processIdentity } from './process-identity.ts'
import { isRoot, temporaryFolder, world } from './testing/databases.ts'

const holder = fileURLToPath(new URL('./testing/holder.ts', import.meta.url))

function startHolder(folder: string): { child: ChildProcess; answer: Promise<string> } {
  const child = spawn(process.execPath, [holder, folder], { stdio: ['pipe', 'pipe', 'inherit'] })
  return { child, answer: once(child.stdout, 'data').then(([chunk]) => String(chunk).trim()) }
}

test('a data folder is made for its owner and belongs to one Conductor at a time', async () => {
  const { folder, remove } = temporaryFolder()
  const data = join(folder, 'new')
  const lock = await lockDataFolder(data, world)
  assert.equal(statSync(data).mode & 0o777, isRoot ? 0o711 : 0o700)
  await assert.rejects(lockDataFolder(data, world), { code: 'data_locked', facts: { pid: process.pid } })
  const other = startHolder(data)
  assert.equal(await other.answer, 'data_locked')
  other.child.kill()
  lock.release()
  lock.release()
  ;(await lockDataFolder(data, world)).release()
  remove()
})

test('a folder that was in use keeps its permissions', async () => {
  const { folder, remove } = temporaryFolder()
  writeFileSync(join(folder, 'mine'), '')
  const before = statSync(folder).mode
  ;(await lockDataFolder(folder, world)).release()
  assert.equal(statSync(folder).mode, before)
  remove()
})

test('a lock ends with its holder, also by kill -9', async () => {
  const { folder, remove } = temporaryFolder()
  const { child, answer } = startHolder(folder)
  assert.equal(await answer, 'held')
  await assert.rejects(lockDataFolder(folder, world), { code: 'data_locked', facts: { pid: child.pid } })
  child.kill('SIGKILL')
  await once(child, 'exit')
  ;(await lockDataFolder(folder, world)).release()
  assert.deepEqual(readdirSync(join(folder, 'lock')), [])
  remove()
})

test('a claim of an earlier process with a living pid, or of an earlier boot, counts for nothing', async () => {
  const { folder, remove } = temporaryFolder()
  const lock = await lockDataFolder(folder, world)
  lock.release()
  for (const claim of [
    `${process.ppid}.1.boot`,
    `${process.ppid}.${processIdentity(process.ppid)?.split('.')[1]}.old`,
    'rubbish',
  ]) {
    writeFileSync(join(folder, 'lock', claim), '')
  }
  ;(await lockDataFolder(folder, world)).release()
  assert.deepEqual(readdirSync(join(folder, 'lock')), [])
  remove()
})

test('of several that come together exactly one gets the folder', async () => {
  const { folder, remove } = temporaryFolder()
  const holders = Array.from({ length: 5 }, () => startHolder(folder))
  const answers = await Promise.all(holders.map(holder => holder.answer))
  for (const { child } of holders) child.kill()
  assert.deepEqual(answers.toSorted(), ['data_locked', 'data_locked', 'data_locked', 'data_locked', 'held'])
  remove()
})
