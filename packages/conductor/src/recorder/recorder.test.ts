/**
 * Goal: what the recorder said it had written is on the tape after any crash, and a disk that refuses is told once.
 * Method: whole tapes in process; a writing process killed with SIGKILL at random points; one whose files may not grow.
 * Replay a failure with: SEED=<seed>
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import test, { type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { makeId, type SessionId } from '@maestro/contract'
import { readRecording } from '@maestro/logic'
import { realWorld } from '../world.ts'
import { createFlusher } from './flusher.ts'
import { createRecorder } from './recorder.ts'
import { openTape } from './tape.ts'
import { headerFor } from './testing/header.ts'
import { quietLog } from './testing/quiet-log.ts'

const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31)
console.log(`SEED=${seed}`)

const world = realWorld(quietLog)
const newSession = (): SessionId => makeId('ses', world.now(), world.randomBytes(11))
const bytesOf = (text: string) => new TextEncoder().encode(text)

function folderFor(t: TestContext): string {
  const folder = mkdtempSync('/tmp/maestro-recorder-test-')
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}
const recorderIn = (folder: string) => createRecorder({ folder, world, version: '0.1.0' })

test('a sealed tape holds every frame and event in order, is private, and names the version that wrote it', async t => {
  const recorder = recorderIn(folderFor(t))
  const session = newSession()
  const tape = recorder.open(headerFor(session))
  const reused = bytesOf('{"jsonrpc":"2.0","id":1,"method":"ping"}')
  assert.equal(tape.frame('inward', reused), 0)
  reused.fill(0)
  tape.event({ name: 'server.stderr', text: 'hello' })
  assert.equal(tape.frame('outward', bytesOf('{}')), 2)
  await tape.seal('client')

  const path = recorder.pathOf(session)
  assert.equal(statSync(path).mode & 0o777, 0o600)
  const recording = readRecording(readFileSync(path))
  assert.equal(recording.complete, true)
  assert.equal(recording.header.conductorVersion, '0.1.0')
  assert.deepEqual(
    recording.records.map(record => (record.kind === 'frame' ? new TextDecoder().decode(record.bytes) : record.kind)),
    ['{"jsonrpc":"2.0","id":1,"method":"ping"}', 'event', '{}', 'end'],
  )
  assert.deepEqual(recorder.view(), { tapesOpen: 0, bytesPending: 0, bytesWritten: statSync(path).size, tapesFailed: 0 })
})

test('an event with texts of any length leaves a tape that can be read to its end', async t => {
  const recorder = recorderIn(folderFor(t))
  const session = newSession()
  const tape = recorder.open(headerFor(session))
  const long = '\u0001'.repeat(4 * 1024 * 1024)
  tape.event({ name: 'server.stderr', text: long })
  tape.event({ name: 'client.gone', request: long })
  tape.event({ name: 'policy.denied', code: long, method: long, tool: long })
  tape.event({ name: 'egress', host: long, port: 1, outcome: 'denied' })
  await tape.seal('client')
  const recording = readRecording(readFileSync(recorder.pathOf(session)))
  assert.equal(recording.damage, null)
  assert.equal(recording.complete, true)
  assert.equal(recording.records.length, 5)
})

test('sealing twice is sealing once, and what comes after is not recorded', async t => {
  const recorder = recorderIn(folderFor(t))
  const session = newSession()
  const tape = recorder.open(headerFor(session))
  const sealed = tape.seal('client')
  tape.frame('inward', bytesOf('{}'))
  await Promise.all([sealed, tape.seal('drain')])
  const recording = readRecording(readFileSync(recorder.pathOf(session)))
  assert.equal(recording.complete, true)
  assert.equal(recording.end?.reason, 'client')
  assert.equal(recording.end?.frames, 0)
})

test('frames of many tapes at once stay with their tapes', async t => {
  const recorder = recorderIn(folderFor(t))
  const tapes = Array.from({ length: 200 }, () => {
    const session = newSession()
    return { session, tape: recorder.open(headerFor(session)) }
  })
  for (let round = 0; round < 20; round++) {
    for (const [index, { tape }] of tapes.entries()) tape.frame('outward', bytesOf(`{"tape":${index},"round":${round}}`))
    if (round % 5 === 0) await new Promise(resolve => setImmediate(resolve))
  }
  assert.equal(recorder.view().tapesOpen, 200)
  await Promise.all(tapes.map(({ tape }) => tape.seal('client')))
  for (const [index, { session }] of tapes.entries()) {
    const recording = readRecording(readFileSync(recorder.pathOf(session)))
    assert.equal(recording.complete, true)
    const frames = recording.records.flatMap(record =>
      record.kind === 'frame' ? [JSON.parse(new TextDecoder().decode(record.bytes))] : [],
    )
    assert.deepEqual(
      frames,
      Array.from({ length: 20 }, (_, round) => ({ tape: index, round })),
    )
  }
})

test('a session that was recorded already is not recorded over', async t => {
  const recorder = recorderIn(folderFor(t))
  const header = headerFor(newSession())
  await recorder.open(header).seal('client')
  assert.throws(() => recorder.open(header), { code: 'recording_unavailable' })
})

test('a folder that cannot be written to is told before the first frame', t => {
  const folder = folderFor(t)
  writeFileSync(join(folder, 'file'), '')
  assert.throws(() => recorderIn(join(folder, 'file')).open(headerFor(newSession())), { code: 'recording_unavailable' })
})

test('a full disk refuses a tape before its session is answered anything', () => {
  const open = () =>
    openTape({
      fd: openSync('/dev/full', 'w'),
      header: headerFor(newSession()),
      world,
      flusher: createFlusher(world),
      onClosed: async () => {},
    })
  assert.throws(open, { code: 'ENOSPC' })
})

test('a tape whose file may not grow ends behind its last whole batch, with the reason', async t => {
  const folder = folderFor(t)
  const session = newSession()
  // 64 blocks of 1 KiB; the system answers a write beyond with EFBIG.
  const lines = await runWriter(['bash', '-c', 'ulimit -f 64; exec "$0" "$@"'], folder, session)
  assert.deepEqual(
    lines.filter(line => line.startsWith('failed')),
    ['failed EFBIG'],
  )
  const recording = readRecording(readFileSync(recorderIn(folder).pathOf(session)))
  assert.equal(recording.damage, null)
  assert.equal(recording.complete, true)
  assert.equal(recording.end?.reason, 'recording_unavailable')
  assert.equal(recording.records.length, recording.end!.frames + 1)
  assert.ok(recording.end!.frames > 0)
})

test('kill -9 at any point loses no record that had been handed over, and the next start ends the tape', {
  timeout: 60_000,
}, async t => {
  for (let round = 0; round < 6; round++) {
    const folder = folderFor(t)
    const session = newSession()
    const killAfter = 1 + ((seed * (round + 1)) % 400)
    const lines = await runWriter([], folder, session, killAfter)
    const bytesWritten = Number(lines.at(-1))

    const recorder = recorderIn(folder)
    const path = recorder.pathOf(session)
    const before = readRecording(readFileSync(path))
    assert.equal(before.damage, null)
    assert.ok(statSync(path).size >= bytesWritten, `${statSync(path).size} of ${bytesWritten} bytes, killed after ${killAfter}`)

    assert.deepEqual(await recorder.recover(), [session])
    const after = readRecording(readFileSync(path))
    assert.equal(after.complete, true)
    assert.equal(after.end?.reason, 'crash')
    assert.equal(after.records.length, before.records.length + 1)
    assert.deepEqual(await recorder.recover(), [], 'what is mended stays mended')
  }
})

test('recovery cuts off a torn tail wherever it was torn', async t => {
  const folder = folderFor(t)
  const { path, session, marker } = await sealedTape(folder)
  const whole = readFileSync(path)
  const ends = endsOf(whole)
  for (let length = 0; length < whole.length; length += 7) {
    writeFileSync(path, whole)
    truncateSync(path, length)
    writeFileSync(marker, '')
    const mended = await recorderIn(folder).recover()
    assert.equal(existsSync(marker), false)
    if (length < ends[0]!) {
      assert.deepEqual(mended, [])
      assert.equal(existsSync(path), false, 'a tape without its header holds nothing')
      continue
    }
    assert.deepEqual(mended, [session])
    const recording = readRecording(readFileSync(path))
    assert.equal(recording.complete, true)
    assert.equal(recording.records.length, ends.filter(end => end <= length).length)
  }
})

test('recovery leaves alone what is sealed, what is damaged, and what a session of ours holds', async t => {
  const folder = folderFor(t)
  const { path, marker } = await sealedTape(folder)
  const whole = readFileSync(path)
  writeFileSync(marker, '')
  assert.deepEqual(await recorderIn(folder).recover(), [])
  assert.deepEqual(readFileSync(path), whole)

  const damaged = Uint8Array.from(whole)
  damaged[endsOf(whole)[0]! + 30]! ^= 1
  writeFileSync(path, damaged)
  writeFileSync(marker, '')
  assert.deepEqual(await recorderIn(folder).recover(), [])
  assert.deepEqual(new Uint8Array(readFileSync(path)), damaged)

  const recorder = recorderIn(folder)
  const tape = recorder.open(headerFor(newSession()))
  assert.deepEqual(await recorder.recover(), [])
  await tape.seal('client')
})

test('recovery reads tapes whose records are larger than its window', async t => {
  const folder = folderFor(t)
  const recorder = recorderIn(folder)
  const session = newSession()
  const tape = recorder.open(headerFor(session))
  for (const bytes of [10, 3_000_000, 1_048_576, 5]) tape.frame('outward', new Uint8Array(bytes).fill(0x20))
  await tape.seal('client')
  const path = recorder.pathOf(session)
  truncateSync(path, statSync(path).size - 3)
  appendFileSync(path, new Uint8Array(4096))
  writeFileSync(join(folder, 'open', session), '')
  // The end record is now wrong and zeros follow: neither the frames nor the reader may mind.
  assert.deepEqual(await recorderIn(folder).recover(), [])
  truncateSync(path, statSync(path).size - 4096)
  writeFileSync(join(folder, 'open', session), '')
  assert.deepEqual(await recorderIn(folder).recover(), [session])
  assert.equal(readRecording(readFileSync(path)).end?.frames, 4)
})

async function sealedTape(folder: string) {
  const recorder = recorderIn(folder)
  const session = newSession()
  const tape = recorder.open(headerFor(session))
  for (let frame = 0; frame < 4; frame++) tape.frame('inward', bytesOf(`{"frame":${frame}}`))
  await tape.seal('client')
  return { session, path: recorder.pathOf(session), marker: join(folder, 'open', session) }
}

/** Where each record ends, the header first. */
function endsOf(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  const ends: number[] = []
  for (let offset = 12; offset < bytes.length; ends.push(offset)) offset += 12 + view.getUint32(offset, true)
  return ends
}

/** Runs the writer until it ends, or kills it after so many lines. Returns the lines it printed. */
async function runWriter(
  prefix: string[],
  folder: string,
  session: SessionId,
  killAfter = Number.POSITIVE_INFINITY,
): Promise<string[]> {
  const script = join(dirname(fileURLToPath(import.meta.url)), 'testing/writer.ts')
  const [program = '', ...args] = [...prefix, process.execPath, script, folder, session]
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  const lines: string[] = []
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line)
    if (lines.length === killAfter) child.kill('SIGKILL')
  }
  await exited
  return lines
}
