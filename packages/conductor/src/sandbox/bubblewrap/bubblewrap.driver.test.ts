import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { it } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { findCgroups } from '../cgroup/cgroups.ts'
import { ownerName } from '../owner.ts'
import { childrenOf, processesWithCommand, signalTo } from '../processes.ts'
import { sandboxContract } from '../sandbox.contract.ts'
import { answerAsNobody } from '../testing/as-nobody.ts'
import { makeProbeBundle, quietWorld, startSpecimen, until } from '../testing/specimen.ts'
import { BubblewrapDriver } from './bubblewrap.ts'

const cgroups = findCgroups()

const trial = new BubblewrapDriver(quietWorld())
const { usable, detail } = await trial.check()
await trial.close()

if (usable) {
  if (cgroups) {
    sandboxContract({
      title: 'bubblewrap with control groups',
      make: () => new BubblewrapDriver(quietWorld(), { cgroups }),
      isolates: true,
      counts: true,
      seesProcesses: true,
    })
  }
  sandboxContract({
    title: 'bubblewrap without control groups',
    make: () => new BubblewrapDriver(quietWorld(), { cgroups: null }),
    isolates: true,
    counts: false,
    seesProcesses: true,
  })
} else {
  it('bubblewrap keeps the contract of a sandbox', { skip: detail }, () => {})
}

it('an ordinary user can use bubblewrap too', { skip: !usable || process.getuid?.() !== 0 }, async context => {
  const answer = await answerAsNobody('bubblewrap')
  if ('skip' in answer) return context.skip(answer.skip)
  assert.equal(answer.value, 'Linux sandbox')
})

it('a variable that leads programs leads the server, and nothing that is still root', {
  skip: !usable || process.getuid?.() !== 0,
}, async () => {
  const bundle = makeProbeBundle()
  const driver = new BubblewrapDriver(quietWorld())
  try {
    // The dynamic linker writes a file for each program that it starts so.
    const specimen = await startSpecimen(driver, bundle.folder, { env: { LD_DEBUG: 'files', LD_DEBUG_OUTPUT: '/tmp/linked' } })
    const owners = await specimen.ask<number[]>(
      'const fs = require("node:fs"); return fs.readdirSync("/tmp").filter(name => name.startsWith("linked")).map(name => fs.statSync("/tmp/" + name).uid)',
    )
    assert.ok(owners.length > 0, 'the server itself is led')
    assert.deepEqual([...new Set(owners)], [65_534])
    assert.equal(await specimen.ask('return process.env.MAESTRO_LATE_LD_DEBUG ?? null'), null)
  } finally {
    await driver.close()
    bundle.remove()
  }
})

const cpuFolder = cgroups?.folders.get('cpu')
it('what nobody waits for gives way on the CPU until somebody does, all of it', { skip: !usable || !cpuFolder }, async () => {
  const bundle = makeProbeBundle()
  const driver = new BubblewrapDriver(quietWorld())
  try {
    const specimen = await startSpecimen(driver, bundle.folder, { unhurried: true })
    const { sandbox } = specimen
    assert.equal(await specimen.ask('return 7'), 7)
    const group = join(cpuFolder!, `${ownerName}-${sandbox.id}`)
    const facts = (): [number, string] => [weightOf(group), readFileSync(join(group, 'cgroup.procs'), 'utf8')]
    const [share, inside] = facts()
    assert.equal(share, 0.1)
    assert.ok(inside.trim().split('\n').length >= 2, 'the server and the first process of its namespace are in the group')
    sandbox.hurry?.()
    assert.equal(facts()[0], 1)
    assert.equal(await specimen.ask('return 8'), 8)
  } finally {
    await driver.close()
    bundle.remove()
  }
})

it('bubblewrap that is killed at any moment of a start leaves nobody behind, and nobody waiting', { skip: !usable }, () =>
  killWhileStarting(new BubblewrapDriver(quietWorld())),
)
it('without control groups too', { skip: !usable }, () =>
  killWhileStarting(new BubblewrapDriver(quietWorld(), { cgroups: null })),
)

async function killWhileStarting(driver: BubblewrapDriver): Promise<void> {
  const bundle = makeProbeBundle()
  const outer = () => childrenOf(process.pid).filter(pid => commandOf(pid).startsWith('bwrap'))
  try {
    for (let round = 0; round < 40; round++) {
      const starting = startSpecimen(driver, bundle.folder).then(
        ({ sandbox }) => sandbox.exited,
        () => null,
      )
      await until('bubblewrap runs', () => outer().length > 0)
      // From before its namespaces exist until after the server has begun.
      await setTimeout(round / 2)
      for (const pid of outer()) signalTo(pid, 'SIGKILL')
      const settled = await Promise.race([starting.then(() => 'settled'), setTimeout(5000, 'waits')])
      assert.equal(settled, 'settled', `killed after ${round / 2} ms`)
    }
    const { processes, cgroups } = await driver.leaks()
    assert.deepEqual({ processes, cgroups }, { processes: 0, cgroups: 0 })
    assert.deepEqual(processesWithCommand('/bundle/probe.cjs'), [])
  } finally {
    await driver.close()
    bundle.remove()
  }
}

const commandOf = (pid: number): string => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1')
  } catch {
    return ''
  }
}

/** Of the CPU, beside one that wants it as everybody does. */
const weightOf = (group: string): number => {
  const [file, usual] = cgroups?.version === 2 ? ['cpu.weight', 100] : ['cpu.shares', 1024]
  return Math.round((10 * Number(readFileSync(join(group, file as string), 'utf8'))) / (usual as number)) / 10
}
