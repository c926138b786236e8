import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isSupported } from './check.ts'
import { machineOf, processLimitsOf } from './limits.ts'

const MiB = 1024 * 1024
const limits = { memoryBytesMax: 256 * MiB, pidsMax: 64, cpusMax: 1.5, diskBytesMax: 16 * MiB, lineBytesMax: MiB }

describe('the machine of a server', () => {
  it('has memory for the server and for its own kernel', () => {
    assert.deepEqual(machineOf(limits), { vcpu_count: 2, mem_size_mib: 256 + 128, smt: false, track_dirty_pages: false })
  })

  it('has at least one CPU and no more than Firecracker gives', () => {
    assert.equal(machineOf({ ...limits, cpusMax: 0.1 }).vcpu_count, 1)
    assert.equal(machineOf({ ...limits, cpusMax: 100 }).vcpu_count, 32)
  })

  it('is held from outside to more than it has, and to the share of CPU that was asked for', () => {
    const outside = processLimitsOf(limits)
    assert.ok(outside.memoryBytesMax > machineOf(limits).mem_size_mib * MiB)
    assert.equal(outside.cpusMax, 1.5)
    assert.ok(outside.pidsMax >= 2 + 3)
  })
})

it('takes the releases of Firecracker in which a restored guest can be reached', () => {
  for (const [version, supported] of [
    [[1, 15, 9], false],
    [[1, 16, 0], false],
    [[1, 16, 1], true],
    [[1, 17, 0], true],
    [[0, 25, 0], false],
    [[2, 0, 0], false],
  ] as const) {
    assert.equal(isSupported(version), supported, version.join('.'))
  }
})
