import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { assembleFilter, encodeFilter, errno, type Instruction, instructionsMax, opcode, verdict } from './assemble.ts'
import { allowedCalls, judgedCalls, refusedCalls, sandboxPolicy } from './policy.ts'
import { type Architecture, auditArchitecture, syscallNumbers } from './syscalls.ts'

const architectures: Architecture[] = ['x86_64', 'aarch64']
const other: Record<Architecture, Architecture> = { x86_64: 'aarch64', aarch64: 'x86_64' }

/** What the kernel's interpreter does with the few instructions we use, reading the filter from its bytes as the kernel does. */
function run(bytes: Buffer, call: { architecture: number; number: number; args?: bigint[] }): number {
  const data = Buffer.alloc(64)
  data.writeUInt32LE(call.number >>> 0, 0)
  data.writeUInt32LE(call.architecture, 4)
  call.args?.forEach((value, index) => {
    data.writeBigUInt64LE(BigInt.asUintN(64, value), 16 + 8 * index)
  })
  let accumulator = 0
  for (let at = 0; at < bytes.length / 8; at++) {
    const instruction: Instruction = {
      code: bytes.readUInt16LE(at * 8),
      jumpTrue: bytes.readUInt8(at * 8 + 2),
      jumpFalse: bytes.readUInt8(at * 8 + 3),
      k: bytes.readUInt32LE(at * 8 + 4),
    }
    const { code, jumpTrue, jumpFalse, k } = instruction
    if (code === opcode.loadWord) accumulator = data.readUInt32LE(k)
    else if (code === opcode.jump) at += k
    else if (code === opcode.jumpEqual) at += accumulator === k ? jumpTrue : jumpFalse
    else if (code === opcode.jumpAtLeast) at += accumulator >= k ? jumpTrue : jumpFalse
    else if (code === opcode.jumpBits) at += (accumulator & k) !== 0 ? jumpTrue : jumpFalse
    else if (code === opcode.answer) return k
    else throw new Error(`instruction ${code} is not one of ours`)
  }
  throw new Error('ran past the end')
}

for (const architecture of architectures) {
  describe(`the filter for ${architecture}`, () => {
    const program = assembleFilter(architecture, sandboxPolicy({ inet: false }))
    const bytes = encodeFilter(program)
    const numbers = syscallNumbers[architecture]
    const known = (names: readonly string[]) => names.filter(name => name in numbers)
    const ask = (name: string, ...args: (number | bigint)[]) =>
      run(bytes, { architecture: auditArchitecture[architecture], number: numbers[name]!, args: args.map(BigInt) })
    const refused = (number: number) => verdict.errno | number

    it('allows every allowed call and refuses every refused one with EPERM', () => {
      for (const name of known(allowedCalls)) assert.equal(ask(name), verdict.allow, name)
      for (const name of known(refusedCalls)) assert.equal(ask(name), refused(errno.EPERM), name)
    })

    it('answers ENOSYS for every number nobody named', () => {
      const named = new Set([...allowedCalls, ...refusedCalls, ...judgedCalls].map(name => numbers[name]))
      fc.assert(
        fc.property(fc.nat({ max: 0x3fff_ffff }), number => {
          if (named.has(number)) return
          assert.equal(run(bytes, { architecture: auditArchitecture[architecture], number }), refused(errno.ENOSYS))
        }),
      )
      for (let number = 0; number < 600; number++) {
        if (!named.has(number))
          assert.equal(run(bytes, { architecture: auditArchitecture[architecture], number }), refused(errno.ENOSYS))
      }
    })

    it('kills for the numbers of another architecture, and knows no x32 calls', () => {
      assert.equal(
        run(bytes, { architecture: auditArchitecture[other[architecture]], number: numbers['read']! }),
        verdict.killProcess,
      )
      assert.equal(run(bytes, { architecture: 0x4000_0003, number: 3 }), verdict.killProcess)
      const x32 = run(bytes, { architecture: auditArchitecture[architecture], number: 0x4000_0000 | numbers['read']! })
      assert.equal(x32, refused(errno.ENOSYS))
      assert.equal(run(bytes, { architecture: auditArchitecture[architecture], number: -1 }), refused(errno.ENOSYS))
    })

    it('lets clone make threads and processes but no namespace, and hides clone3', () => {
      const CLONE_VM_FILES_SIGHAND_THREAD = 0x10f00
      assert.equal(ask('clone', CLONE_VM_FILES_SIGHAND_THREAD), verdict.allow)
      assert.equal(ask('clone', 17), verdict.allow)
      for (const flag of [0x0002_0000, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000, 0x80]) {
        assert.equal(ask('clone', flag | 17), refused(errno.EPERM), flag.toString(16))
      }
      assert.equal(ask('clone3'), refused(errno.ENOSYS))
    })

    it('keeps characters from being pushed into a terminal, whatever the upper half of the argument says', () => {
      for (const high of [0n, 0xdead_beefn << 32n]) {
        assert.equal(ask('ioctl', 0, high | 0x5412n), refused(errno.EPERM))
        assert.equal(ask('ioctl', 0, high | 0x541cn), refused(errno.EPERM))
      }
      assert.equal(ask('ioctl', 0, 0x5401), verdict.allow)
    })

    it('opens unix sockets and the routing netlink only, and internet sockets where the sandbox has egress', () => {
      const withInet = encodeFilter(assembleFilter(architecture, sandboxPolicy({ inet: true })))
      const socket = (filter: Buffer, ...args: bigint[]) =>
        run(filter, { architecture: auditArchitecture[architecture], number: numbers['socket']!, args })
      for (let family = 0; family < 64; family++) {
        const open = socket(bytes, BigInt(family), 1n, 0n)
        assert.equal(open === verdict.allow, [1, 16].includes(family), `family ${family}`)
        assert.equal(
          socket(withInet, BigInt(family), 1n, 0n) === verdict.allow,
          [1, 2, 10, 16].includes(family),
          `family ${family}`,
        )
        if (open !== verdict.allow) assert.equal(open, refused(errno.EAFNOSUPPORT))
      }
      for (let protocol = 1; protocol < 32; protocol++)
        assert.equal(socket(bytes, 16n, 3n, BigInt(protocol)), refused(errno.EAFNOSUPPORT))
    })

    it('fits the kernel and ends every path in an answer', () => {
      assert.ok(program.length <= instructionsMax)
      program.forEach((instruction, index) => {
        const reach = instruction.code === opcode.jump ? instruction.k : Math.max(instruction.jumpTrue, instruction.jumpFalse)
        assert.ok(index + 1 + reach < program.length || instruction.code === opcode.answer)
      })
      assert.equal(program.at(-1)?.code, opcode.answer)
    })

    it('decides within a dozen comparisons', () => {
      const depth = (at: number): number => {
        const { code, jumpTrue, jumpFalse, k } = program[at]!
        if (code === opcode.answer) return 1
        if (code === opcode.jump) return 1 + depth(at + 1 + k)
        if (code === opcode.loadWord) return 1 + depth(at + 1)
        return 1 + Math.max(depth(at + 1 + jumpTrue), depth(at + 1 + jumpFalse))
      }
      assert.ok(depth(0) <= 32, `${depth(0)} instructions`)
    })
  })
}

describe('the policy', () => {
  it('names every call once, and every one has a number somewhere', () => {
    const all = [...allowedCalls, ...refusedCalls, ...judgedCalls]
    assert.equal(new Set(all).size, all.length)
    for (const name of all)
      assert.ok(
        architectures.some(architecture => name in syscallNumbers[architecture]),
        name,
      )
  })

  it('refuses the ways out by name', () => {
    const ways =
      'ptrace bpf keyctl userfaultfd io_uring_setup perf_event_open mount unshare setns kexec_load init_module process_vm_readv pidfd_getfd'
    for (const way of ways.split(' ')) assert.ok(refusedCalls.includes(way), way)
  })
})
