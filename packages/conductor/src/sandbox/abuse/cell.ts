/** A sandbox that runs attacks: the probe server, and the programs of this folder beside it. */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { SandboxDriver } from '../sandbox.ts'
import { type Specimen, startSpecimen } from '../testing/specimen.ts'
import type { AbuseSubject } from './subjects.ts'

const MiB = 1024 * 1024
export const python = '/usr/bin/python3'
const programs = ['calls.py', 'reads.py', 'across.py', 'exhaust.py'] as const
export type AttackProgram = (typeof programs)[number]

export const pathOf = (program: AttackProgram): string => fileURLToPath(new URL(`./${program}`, import.meta.url))

type Changes = Parameters<typeof startSpecimen>[2]

export interface Cells {
  readonly driver: SandboxDriver
  readonly bundle: string
  /** A sandbox for one test, ended after it; for what needs no other, the limits are roomy. */
  using<T>(use: (specimen: Specimen) => Promise<T>, changes?: Changes): Promise<T>
  start(changes?: Changes): Promise<Specimen>
}

/** One driver and one bundle for the tests of a `describe`. */
export function makeCells(subject: AbuseSubject): Cells {
  let driver: SandboxDriver
  const bundle = mkdtempSync(join(tmpdir(), 'abuse-bundle-'))
  const places: [from: string, to: string][] = [
    [fileURLToPath(new URL('../testing/probe.cjs', import.meta.url)), 'probe.cjs'],
    ...programs.map((name): [string, string] => [pathOf(name), name]),
  ]
  for (const [from, to] of places) copyFileSync(from, join(bundle, to))
  mkdirSync(join(bundle, 'folder'))
  before(() => {
    driver = subject.make()
  })
  after(async () => {
    await driver.close()
    rmSync(bundle, { recursive: true, force: true })
  })
  const start = (changes: Changes = {}) =>
    startSpecimen(driver, bundle, { ...changes, limits: { memoryBytesMax: 384 * MiB, ...changes.limits } })
  return {
    get driver() {
      return driver
    },
    bundle,
    start,
    async using(use, changes) {
      const specimen = await start(changes)
      try {
        return await use(specimen)
      } finally {
        await specimen.sandbox.close()
      }
    },
  }
}

/** Runs a program inside and gives what it printed, as JSON. */
export async function runInside<T>(specimen: Specimen, program: AttackProgram, ...args: string[]): Promise<T> {
  const output = await specimen.ask<string | { error: string }>(
    `return require("node:child_process").execFileSync("${python}", ${JSON.stringify([`/bundle/${program}`, ...args])}, { encoding: "utf8", maxBuffer: 1e8, stdio: ["ignore", "pipe", "ignore"] })`,
  )
  if (typeof output !== 'string') throw new Error(`${program} did not run inside: ${output.error}`)
  return JSON.parse(output) as T
}
