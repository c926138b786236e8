/**
 * Assembles a seccomp filter: classic BPF over `struct seccomp_data`, as the kernel's `Documentation/userspace-api/seccomp_filter.rst`
 * and `linux/filter.h` describe it. Everything is data: code is a list of instructions that is composed, never patched.
 */
import { invariant } from '@maestro/contract'
import { type Architecture, auditArchitecture, syscallNumbers } from './syscalls.ts'

export interface Instruction {
  code: number
  jumpTrue: number
  jumpFalse: number
  k: number
}

export type Rule =
  | { kind: 'allow' }
  | { kind: 'errno'; errno: number }
  /** Refuses when the argument has any of the bits. */
  | { kind: 'refuse_bits'; argument: number; bits: number; errno: number }
  /** Refuses when the lower 32 bits of the argument are one of the values. */
  | { kind: 'refuse_values'; argument: number; values: readonly number[]; errno: number }
  /** Refuses unless they are; where they are `and.value`, another argument must be one of `and.values` too. */
  | {
      kind: 'only_values'
      argument: number
      values: readonly number[]
      errno: number
      and?: { value: number; argument: number; values: readonly number[] }
    }

/** The same on x86_64 and aarch64, `asm-generic/errno.h`. */
export const errno = { EPERM: 1, ENOSYS: 38, EAFNOSUPPORT: 97 } as const

/** Instruction codes used here, `linux/bpf_common.h`: class | size or operation | mode or source. */
export const opcode = {
  loadWord: 0x20,
  jump: 0x05,
  jumpEqual: 0x15,
  jumpAtLeast: 0x35,
  jumpBits: 0x45,
  answer: 0x06,
} as const

/** What a filter answers, `linux/seccomp.h`. */
export const verdict = { killProcess: 0x8000_0000, errno: 0x0005_0000, allow: 0x7fff_0000 } as const

/** Offsets in `struct seccomp_data`; both architectures are little-endian, so the low word of an argument comes first. */
const offset = { number: 0, architecture: 4, argumentLow: (index: number) => 16 + 8 * index } as const

/** The kernel takes no more, `BPF_MAXINSNS`. */
export const instructionsMax = 4096

/** Calls with this bit are of the x32 interface, which has other numbers for the same doors. */
const x32Bit = 0x4000_0000

const step = (code: number, k: number, jumpTrue = 0, jumpFalse = 0): Instruction => ({ code, jumpTrue, jumpFalse, k: k >>> 0 })
const load = (at: number) => step(opcode.loadWord, at)
const answer = (value: number) => step(opcode.answer, value)
const refuse = (number: number) => answer(verdict.errno | number)
const allow = answer(verdict.allow)

/**
 * The filter for one architecture. Unknown calls answer ENOSYS; another architecture than ours kills the process, because its
 * numbers mean other calls. A rule of a call that the architecture does not have is left out.
 */
export function assembleFilter(architecture: Architecture, rules: ReadonlyMap<string, Rule>): Instruction[] {
  const numbers = syscallNumbers[architecture]
  const cases: Case[] = []
  for (const [name, rule] of rules) {
    const number = numbers[name]
    if (number !== undefined) cases.push({ number, code: codeOf(rule) })
  }
  cases.sort((a, b) => a.number - b.number)
  const program = [
    load(offset.architecture),
    step(opcode.jumpEqual, auditArchitecture[architecture], 1, 0),
    answer(verdict.killProcess),
    load(offset.number),
    step(opcode.jumpAtLeast, x32Bit, 0, 1),
    refuse(errno.ENOSYS),
    ...search(cases),
  ]
  invariant(program.length <= instructionsMax, `seccomp filter of ${program.length} instructions`)
  return program
}

/** The bytes the kernel wants: an array of `struct sock_filter`, 8 bytes each. */
export function encodeFilter(program: readonly Instruction[]): Buffer {
  const bytes = Buffer.alloc(program.length * 8)
  program.forEach((instruction, index) => {
    bytes.writeUInt16LE(instruction.code, index * 8)
    bytes.writeUInt8(instruction.jumpTrue, index * 8 + 2)
    bytes.writeUInt8(instruction.jumpFalse, index * 8 + 3)
    bytes.writeUInt32LE(instruction.k, index * 8 + 4)
  })
  return bytes
}

interface Case {
  number: number
  code: Instruction[]
}

/** Binary search over the call's number: about nine comparisons where a list would take three hundred, on every system call. */
function search(cases: readonly Case[]): Instruction[] {
  const first = cases[0]
  if (!first) return [refuse(errno.ENOSYS)]
  if (cases.length === 1) return [step(opcode.jumpEqual, first.number, 1, 0), refuse(errno.ENOSYS), ...first.code]
  const middle = cases.length >> 1
  const left = search(cases.slice(0, middle))
  const right = search(cases.slice(middle))
  // A conditional jump reaches 255 instructions at most; the unconditional one beside it reaches everything.
  return [step(opcode.jumpAtLeast, cases[middle]!.number, 0, 1), step(opcode.jump, left.length), ...left, ...right]
}

/** Straight code that always ends in an answer. */
function codeOf(rule: Rule): Instruction[] {
  switch (rule.kind) {
    case 'allow':
      return [allow]
    case 'errno':
      return [refuse(rule.errno)]
    case 'refuse_bits':
      return [load(offset.argumentLow(rule.argument)), step(opcode.jumpBits, rule.bits, 0, 1), refuse(rule.errno), allow]
    case 'refuse_values':
      return [
        load(offset.argumentLow(rule.argument)),
        ...rule.values.flatMap(value => [step(opcode.jumpEqual, value, 0, 1), refuse(rule.errno)]),
        allow,
      ]
    case 'only_values': {
      const and = rule.and
      return [
        load(offset.argumentLow(rule.argument)),
        ...rule.values.flatMap(value => {
          const granted = and && and.value === value ? onlyValues(and.argument, and.values, rule.errno) : [allow]
          return [step(opcode.jumpEqual, value, 0, granted.length), ...granted]
        }),
        refuse(rule.errno),
      ]
    }
  }
}

const onlyValues = (argument: number, values: readonly number[], number: number): Instruction[] => [
  load(offset.argumentLow(argument)),
  ...values.flatMap(value => [step(opcode.jumpEqual, value, 0, 1), allow]),
  refuse(number),
]
