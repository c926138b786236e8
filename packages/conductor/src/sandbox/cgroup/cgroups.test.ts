import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { ownerName } from '../owner.ts'
import { pidNamespace } from '../processes.ts'
import { roomyLimits } from '../testing/specimen.ts'
import { cleanCgroups, findCgroups, makeCgroup } from './cgroups.ts'

describe('control groups', () => {
  let root: string
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'cgroups-'))
  })
  afterEach(() => rmSync(root, { recursive: true, force: true }))
  const folder = (path: string, files: Record<string, string> = {}) => {
    mkdirSync(join(root, path), { recursive: true })
    for (const [name, text] of Object.entries(files)) writeFileSync(join(root, path, name), text)
    return join(root, path)
  }

  it('are version 2 where it holds memory and pids, below our own group first', () => {
    const own = folder('unified/user/mine', {
      'cgroup.subtree_control': 'memory pids cpu',
      'cgroup.controllers': 'memory pids cpu',
    })
    folder('unified', { 'cgroup.subtree_control': 'memory pids' })
    const base = findCgroups({ mounts: `cgroup2 ${root}/unified cgroup2 rw,nosuid 0 0\n`, self: '0::/user/mine\n' })
    assert.deepEqual([base?.version, base?.folders.get('memory')], [2, own])
  })

  it('are turned on for what is below where that is ours to do', () => {
    const own = folder('unified', {
      'cgroup.subtree_control': '',
      'cgroup.controllers': 'cpu io memory pids',
      'cgroup.procs': '',
    })
    const base = findCgroups({ mounts: `cgroup2 ${root}/unified cgroup2 rw 0 0\n`, self: '0::/\n' })
    assert.equal(base?.version, 2)
    assert.equal(readFileSync(join(own, 'cgroup.subtree_control'), 'utf8'), '+cpu +memory +pids')
  })

  it('are version 1 where version 2 holds no controllers, one folder each', () => {
    folder('unified', { 'cgroup.controllers': '' })
    const memory = folder('memory/box/a')
    folder('pids')
    const base = findCgroups({
      mounts: `cgroup2 ${root}/unified cgroup2 rw 0 0\ncgroup ${root}/memory cgroup rw,memory 0 0\ncgroup ${root}/pids cgroup rw,pids 0 0\n`,
      self: '2:memory:/box/a\n1:pids:/elsewhere\n0::/\n',
    })
    assert.deepEqual([base?.version, base?.folders.get('memory'), base?.folders.get('pids')], [1, memory, join(root, 'pids')])
    assert.equal(base?.folders.has('cpu'), false)
  })

  it('are none where nothing is mounted', () => {
    assert.equal(findCgroups({ mounts: 'tmpfs /tmp tmpfs rw 0 0\n', self: '' }), null)
  })

  it('take their limits in the words of version 2', () => {
    const base = {
      version: 2 as const,
      folders: new Map((['memory', 'pids', 'cpu', 'freezer'] as const).map(name => [name, root])),
    }
    const group = makeCgroup(base, 'sbx_1', { ...roomyLimits, cpusMax: 1.5, pidsMax: 7 })
    const read = (file: string) => readFileSync(join(root, `${ownerName}-sbx_1`, file), 'utf8')
    assert.deepEqual(['memory.max', 'memory.swap.max', 'pids.max', 'cpu.max'].map(read), [
      String(roomyLimits.memoryBytesMax),
      '0',
      '7',
      '150000 100000',
    ])
    group.yieldCpu(true)
    assert.equal(read('cpu.weight'), '10')
    group.yieldCpu(false)
    assert.equal(read('cpu.weight'), '100')
    assert.equal(group.entrances.length, 1)
    assert.equal(group.limitReached(), false)
    writeFileSync(join(root, `${ownerName}-sbx_1`, 'memory.events'), 'low 0\noom 1\noom_kill 1\n')
    assert.equal(group.limitReached(), true)
  })

  it('of a dead Conductor are removed, those of living ones and of others are not', () => {
    const base = { version: 2 as const, folders: new Map([['memory' as const, root]]) }
    const dead = `maestro-${pidNamespace()}-4194304-1-sbx_1`
    const reused = `maestro-${pidNamespace()}-${process.pid}-1-sbx_1`
    for (const name of [dead, reused, `${ownerName}-sbx_1`, 'maestro-1-4194304-1-sbx_1', 'system.slice'])
      mkdirSync(join(root, name))
    assert.deepEqual(new Set(cleanCgroups(base, () => {})), new Set([join(root, dead), join(root, reused)]))
    assert.deepEqual(
      [dead, reused, `${ownerName}-sbx_1`, 'maestro-1-4194304-1-sbx_1', 'system.slice'].map(name => existsSync(join(root, name))),
      [false, false, true, true, true],
    )
  })
})
