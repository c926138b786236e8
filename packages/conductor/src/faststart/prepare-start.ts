import { chmod, copyFile, mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { ConductorError, makeId, type StartKind } from '@maestro/contract'
import { initialize } from '../marketplace/read-manifest.ts'
import { openRpcLink } from '../marketplace/rpc-link.ts'
import { loaderFiles, loaderFolder } from '../sandbox/command.ts'
import { environmentLine, heldLine } from '../sandbox/held.ts'
import type { Prepared, SandboxDriver, SandboxSpec } from '../sandbox/sandbox.ts'
import type { Upstream } from '../session/stages.ts'
import type { World } from '../world.ts'
import { type Observation, observe } from './observe.ts'
import { joinModules, NotOneFile } from './one-file.ts'
import { runBuild } from './run-build.ts'
import { median, type StartRecord } from './start-record.ts'

export interface PrepareParts {
  world: World
  driver: SandboxDriver
  initializeMsMax: number
}

/** What runs, as a deployment of the release runs it. */
export type Subject = Pick<SandboxSpec, 'bundle' | 'program' | 'args' | 'env' | 'egress' | 'limits'>

/** Starts of each kind that are timed, in turn: so many, and more where a busy machine leaves it open which is faster. */
const timedStarts = { min: 5, max: 15 }
/** A faster start must save so much of the plain one, and so many ms, to be worth its files. */
const savedShareMin = 0.1
const savedMsMin = 5
/** A server may show something of the clock: it is looked at so often before a difference counts. */
const looksMax = 3

type FastKind = Exclude<StartKind, 'plain'>
const fastKinds: readonly FastKind[] = ['one-file', 'snapshot']

/**
 * Makes faster starts of a release in `folder`, keeps those that behave as the plain one does and are faster, and says of the others
 * why not. Code of the release runs in sandboxes only. Throws what the driver throws, and the signal's reason.
 */
export async function prepareStart(
  parts: PrepareParts,
  subject: Subject,
  folder: string,
  signal: AbortSignal,
): Promise<StartRecord> {
  const { world } = parts
  const begunMs = world.monotonicMs()
  const refused: StartRecord['refused'] = []
  const reads = { snapshot: [] as string[], ahead: [] as string[] }
  const refuse = (kind: FastKind, why: string) => void refused.push({ kind, why: why.slice(0, 300) })
  const start = (prepared?: Prepared, changes: Partial<SandboxSpec> = {}) => {
    signal.throwIfAborted()
    return startSubject(parts, { ...subject, ...changes, ...(prepared ? { prepared } : {}) }, signal)
  }

  const made = new Set<FastKind>()
  try {
    await joinInto(folder, subject, world, signal)
    await makeFiles(parts, start, folder, subject, reads, signal)
    made.add('one-file').add('snapshot')
  } catch (failure) {
    signal.throwIfAborted()
    if (!(failure instanceof NotMade)) throw failure
    for (const kind of fastKinds) if (kind === failure.kind || failure.kind === 'one-file') refuse(kind, failure.message)
    if (failure.kind === 'snapshot') made.add('one-file')
  }

  const lookAt = (prepared?: Prepared) =>
    observe({
      world,
      initializeMsMax: parts.initializeMsMax,
      callsTools: subject.egress.length === 0,
      start: () => start(prepared),
    })
  const equal = new Set<FastKind>()
  if (made.size > 0) {
    const plain = [await lookAt()]
    for (const kind of made) {
      const why = await differenceOf(
        plain,
        () => lookAt(),
        () => lookAt({ folder, kind }),
      )
      signal.throwIfAborted()
      if (why === null) equal.add(kind)
      else refuse(kind, why)
    }
  }

  const times: Times =
    equal.size > 0 ? await timeStarts(world, parts.initializeMsMax, equal, kind => start(prepare(folder, kind))) : new Map()
  const measuredMs = mediansOf(times)
  for (const kind of equal) {
    if (isFaster(times, kind)) continue
    equal.delete(kind)
    refuse(kind, `it is not faster: ${measuredMs[kind]} ms, plain ${measuredMs.plain} ms`)
  }
  // A snapshot has to beat the one file as well; the one file stays for environments the snapshot is not good for.
  const kinds = [...equal].sort((a, b) => (measuredMs[a] ?? 0) - (measuredMs[b] ?? 0))
  if (kinds[0] === 'one-file' && kinds.length > 1) {
    refuse('snapshot', `one file is as fast: ${measuredMs.snapshot} ms and ${measuredMs['one-file']} ms`)
    kinds.pop()
  }
  const holds = kinds.length > 0 && (await startsHeld(start, folder, kinds[0]!, parts, subject))
  signal.throwIfAborted()
  if (kinds.length === 0) await rm(folder, { recursive: true, force: true })
  else await tidy(folder, kinds.includes('snapshot') ? [] : ['start.blob'])
  return {
    kind: kinds[0] ?? 'plain',
    kinds,
    holds,
    reads,
    measuredMs,
    refused,
    preparationMs: Math.round(world.monotonicMs() - begunMs),
  }
}

/** Readable by whoever a sandbox runs as, writable by nobody; without what only making it took. */
async function tidy(folder: string, unused: readonly string[]): Promise<void> {
  for (const name of ['build.cjs', 'snapshot.cjs', ...unused]) await rm(join(folder, name), { force: true })
  for (const name of await readdir(folder)) await chmod(join(folder, name), 0o444)
}

const prepare = (folder: string, kind: StartKind): Prepared | undefined => (kind === 'plain' ? undefined : { folder, kind })

/** This kind cannot be made of the release; without one file there is no snapshot either. */
class NotMade extends Error {
  readonly kind: FastKind
  constructor(kind: FastKind, why: string) {
    super(why)
    this.kind = kind
  }
}

/** A sandbox that ends when nobody waits for the outcome any more. */
async function startSubject(
  { driver, world }: PrepareParts,
  spec: Omit<SandboxSpec, 'id'>,
  signal: AbortSignal,
): Promise<Upstream> {
  const upstream = await driver.start({ id: makeId('sbx', world.now(), world.randomBytes(11)), ...spec })
  const end = () => void upstream.close()
  signal.addEventListener('abort', end, { once: true })
  void upstream.exited.then(() => signal.removeEventListener('abort', end))
  if (signal.aborted) end()
  return upstream
}

type Start = (prepared?: Prepared, changes?: Partial<SandboxSpec>) => Promise<Upstream>

async function joinInto(folder: string, { bundle, program }: Subject, world: World, signal: AbortSignal): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o755 })
  try {
    const { text } = await joinModules(bundle, program.entry, world, signal)
    await writeFile(join(folder, 'program.js'), text, { mode: 0o444 })
  } catch (failure) {
    if (failure instanceof NotOneFile) throw new NotMade('one-file', failure.message)
    throw failure
  }
  await chmod(folder, 0o755)
  for (const name of loaderFiles) await copyFile(join(loaderFolder, name), join(folder, name))
  await writeProgram(folder, program.entry, [])
}

const writeProgram = (folder: string, entry: string, ahead: readonly string[]): Promise<void> =>
  writeFile(join(folder, 'program.json'), JSON.stringify({ entry, ahead }), { mode: 0o644 })

/** What must run for being made: in a sandbox, each step in one of its own. */
async function makeFiles(
  { world }: PrepareParts,
  start: Start,
  folder: string,
  subject: Subject,
  reads: StartRecord['reads'],
  signal: AbortSignal,
): Promise<void> {
  const build: Prepared = { folder, kind: 'build' }
  const recorded = await runBuild(world, await start(build, { args: ['record', ...subject.args] }), signal)
  if ('failed' in recorded) throw new NotMade('one-file', recorded.failed)
  await writeFile(join(folder, 'program.cache'), recorded.files.get('program.cache') ?? '', { mode: 0o444 })
  await writeProgram(folder, subject.program.entry, recorded.loaded)
  // Nothing of a deployment's environment: what is made here is the same for every session.
  const made = await runBuild(world, await start(build, { args: ['snapshot'], env: {}, egress: [] }), signal)
  reads.ahead = [...new Set(Object.values(made.reads).flat())]
  if ('failed' in made) throw new NotMade('snapshot', made.failed)
  reads.snapshot = [...new Set(made.loaded.flatMap(name => made.reads[name] ?? []))]
  await writeFile(join(folder, 'start.blob'), made.files.get('start.blob') ?? '', { mode: 0o444 })
}

/** Null where the prepared start shows what the plain one shows, at some look; else the first thing that differs. */
async function differenceOf(
  plain: Observation[],
  lookAtPlain: () => Promise<Observation>,
  lookAtPrepared: () => Promise<Observation>,
): Promise<string | null> {
  let why = ''
  for (let look = 0; look < looksMax; look++) {
    if (look >= plain.length) plain.push(await lookAtPlain())
    let prepared: Observation
    try {
      prepared = await lookAtPrepared()
    } catch (failure) {
      return `it does not run: ${failure instanceof Error ? failure.message : String(failure)}`
    }
    const same = plain.find(before => isDeepStrictEqual(before, prepared))
    if (same) return null
    const before = plain[look]!
    const parts = (['manifest', 'answers', 'stderr', 'exit'] as const).filter(
      part => !isDeepStrictEqual(before[part], prepared[part]),
    )
    why = `it differs in ${parts.map(part => names[part]).join(', ')}`
  }
  return why
}

const names = { manifest: 'what it offers', answers: 'its answers', stderr: 'standard error', exit: 'how it ends' } as const

/** From spawn to the answer of initialize, ms, of each round. */
type Times = ReadonlyMap<StartKind, number[]>

async function timeStarts(
  world: World,
  initializeMsMax: number,
  kinds: ReadonlySet<FastKind>,
  start: (kind: StartKind) => Promise<Upstream>,
): Promise<Times> {
  const times = new Map<StartKind, number[]>((['plain', ...kinds] as StartKind[]).map(kind => [kind, []]))
  for (let round = 1; round <= timedStarts.max; round++) {
    for (const [kind, all] of times) {
      const begunMs = world.monotonicMs()
      const upstream = await start(kind)
      try {
        await initialize(openRpcLink(world, upstream), initializeMsMax)
        all.push(world.monotonicMs() - begunMs)
      } finally {
        await upstream.close()
      }
    }
    if (round >= timedStarts.min && [...kinds].every(kind => isFaster(times, kind))) break
  }
  return times
}

const mediansOf = (times: Times): StartRecord['measuredMs'] =>
  Object.fromEntries([...times].map(([kind, all]) => [kind, Math.round(median(all) * 10) / 10]))

/** Each start is held against the plain one of its own round, so that what else the machine does falls on both. */
function isFaster(times: Times, kind: FastKind): boolean {
  const plain = times.get('plain') ?? []
  const saved = (times.get(kind) ?? []).map((ms, round) => ({ ms: plain[round]! - ms, share: 1 - ms / plain[round]! }))
  return median(saved.map(({ ms }) => ms)) > savedMsMin && median(saved.map(({ share }) => share)) > savedShareMin
}

/** Whether it waits with its dependencies loaded and then answers, all of its environment coming late. */
async function startsHeld(
  start: Start,
  folder: string,
  kind: FastKind,
  { world, initializeMsMax }: PrepareParts,
  subject: Subject,
): Promise<boolean> {
  const upstream = await start({ folder, kind }, { held: 'loaded', env: {}, masked: subject.env })
  try {
    const held = new Promise<boolean>(resolve => {
      upstream.onFrame(frame => resolve(Buffer.from(frame).toString('latin1') === heldLine))
      void upstream.exited.then(() => resolve(false))
      world.after(initializeMsMax, () => resolve(false))
    })
    if (!(await held)) return false
    upstream.send(environmentLine(subject.program, subject.env))
    await initialize(openRpcLink(world, upstream), initializeMsMax)
    return true
  } catch (failure) {
    if (failure instanceof ConductorError && failure.code.startsWith('sandbox_')) throw failure
    return false
  } finally {
    await upstream.close()
  }
}
