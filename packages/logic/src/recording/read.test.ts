/**
 * Goal: what was recorded is read back byte for byte; what was cut off or damaged is said to be, at the right place;
 * nothing anybody can put into a file makes the reader do anything but answer or throw `recording_unreadable`.
 * Method: random tapes, encoded, then cut at every byte, flipped at random bits, or replaced by noise.
 * Replay a failure with: SEED=<seed> node --test …/read.test.ts
 */
import assert from 'node:assert/strict'
import test from 'node:test'
import { crc32 as zlibCrc32 } from 'node:zlib'
import { ConductorError, type FrameRecord, type RecordingHeader, type TapeEvent, type TapeRecord } from '@maestro/contract'
import fc from 'fast-check'
import { crc32 } from './crc32.ts'
import { encodePreamble, encodeRecord, encodeRecording, headerRecord, rawRecordOf } from './encode.ts'
import { kindCodes, preambleBytes } from './layout.ts'
import { type Recording, readRecording } from './read.ts'

const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31)
console.log(`SEED=${seed}`)

const header = {
  session: 'ses_00000000000000000001',
  tenant: 'ten_00000000000000local0',
  deployment: 'dep_00000000000000000002',
  deploymentName: 'echo',
  release: 'rel_00000000000000000003',
  releaseName: 'echo',
  releaseVersion: '1.0.0',
  digest: `sha256:${'0'.repeat(64)}`,
  era: 'session',
  driver: 'process',
  sandbox: null,
  args: [],
  envNames: [],
  egress: [],
  runtime: 'node v24.21.0',
  conductorVersion: '0.1.0',
  openedAt: 1_780_000_000_000,
} as unknown as RecordingHeader

const events: fc.Arbitrary<TapeEvent> = fc.oneof(
  fc.record(
    { name: fc.constant('lease.granted' as const), warm: fc.boolean(), waitMs: fc.nat(), startMs: fc.nat() },
    { noNullPrototype: true },
  ),
  fc.record({
    name: fc.constant('server.stderr' as const),
    text: fc.string({ unit: 'binary' }).map(text => text.toWellFormed()),
  }),
  fc.record({ name: fc.constant('client.received' as const), frame: fc.nat() }, { noNullPrototype: true }),
)
const items = fc.array(
  fc.oneof(
    fc.record({ direction: fc.constantFrom('inward' as const, 'outward' as const), bytes: fc.uint8Array({ maxLength: 300 }) }),
    events,
  ),
  { maxLength: 12 },
)
type Item = { direction: 'inward' | 'outward'; bytes: Uint8Array } | TapeEvent

function tapeOf(made: readonly Item[], sealed: boolean): TapeRecord[] {
  const at = (ordinal: number) => ({ ordinal, wallUs: 1_780_000_000_000_000 + ordinal, monotonicUs: ordinal * 10 })
  const records: TapeRecord[] = made.map((item, ordinal) =>
    'bytes' in item && 'direction' in item
      ? { kind: 'frame', ...at(ordinal), ...item }
      : { kind: 'event', ...at(ordinal), event: { ...(item as TapeEvent) } },
  )
  const frames = records.filter(record => record.kind === 'frame').length
  if (sealed) records.push({ kind: 'end', ...at(records.length), reason: 'client', frames })
  return records
}

const plain = (records: readonly TapeRecord[]) =>
  records.map(record => (record.kind === 'frame' ? { ...record, bytes: [...record.bytes] } : record))

function readOrRefuse(bytes: Uint8Array): Recording | null {
  try {
    return readRecording(bytes)
  } catch (error) {
    assert.ok(error instanceof ConductorError && error.code === 'recording_unreadable', String(error))
    return null
  }
}

test('our checksum is the one zlib has', () => {
  assert.equal(crc32(new TextEncoder().encode('123456789')), 0xcbf43926)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 5000 }), bytes => crc32(bytes) === zlibCrc32(bytes)),
    { seed },
  )
})

test('a tape is read back as it was written, frames byte for byte', () => {
  fc.assert(
    fc.property(items, fc.boolean(), (made, sealed) => {
      const records = tapeOf(made, sealed)
      const recording = readRecording(encodeRecording(header, records))
      assert.deepEqual(plain(recording.records), plain(records))
      assert.deepEqual(recording.header, header)
      assert.equal(recording.complete, sealed)
      assert.equal(recording.tornBytes, 0)
      assert.equal(recording.damage, null)
    }),
    { seed },
  )
})

test('a tape cut at any byte is read up to its last whole record, and said to be torn, never damaged', () => {
  const bytes = encodeRecording(
    header,
    tapeOf(
      [
        { direction: 'inward', bytes: new TextEncoder().encode('{"jsonrpc":"2.0","id":1,"method":"ping"}') },
        { name: 'server.stderr', text: 'ready' },
        { direction: 'outward', bytes: new TextEncoder().encode('{"jsonrpc":"2.0","id":1,"result":{}}') },
      ],
      true,
    ),
  )
  const whole = readRecording(bytes)
  const ends = [...recordEnds(bytes)]
  for (let length = 0; length < bytes.length; length++) {
    const cut = readOrRefuse(bytes.subarray(0, length))
    if (length < ends[0]!) {
      assert.equal(cut, null, `a header cut at ${length} was read`)
      continue
    }
    assert.ok(cut)
    const lastEnd = ends.findLast(end => end <= length)!
    assert.deepEqual(plain(cut.records), plain(whole.records.slice(0, ends.indexOf(lastEnd))))
    assert.equal(cut.tornBytes, length - lastEnd)
    assert.equal(cut.damage, null)
    assert.equal(cut.complete, false)
  }
})

test('a single flipped bit is reported as damage of the record it is in', () => {
  fc.assert(
    fc.property(items, fc.nat(), (made, where) => {
      const bytes = encodeRecording(header, tapeOf(made, true))
      const ends = [...recordEnds(bytes)]
      const bit = where % (bytes.length * 8)
      bytes[bit >> 3]! ^= 1 << (bit & 7)
      const recording = readOrRefuse(bytes)
      if (bit >> 3 < ends[0]!) return assert.equal(recording, null)
      assert.ok(recording)
      assert.equal(recording.complete, false)
      assert.equal(
        recording.damage?.offset,
        ends.findLast(end => end <= bit >> 3),
      )
      assert.equal(recording.records.length, ends.indexOf(recording.damage!.offset))
    }),
    { seed, numRuns: 500 },
  )
})

test('a record that is missing, doubled or moved is damage, though its own checksum is right', () => {
  const records = tapeOf(
    Array.from({ length: 4 }, (_, index) => ({ direction: 'outward' as const, bytes: Uint8Array.of(index) })),
    true,
  )
  const pieces = [
    encodePreamble(),
    encodeRecord(headerRecord(header)),
    ...records.map(record => encodeRecord(rawRecordOf(record))),
  ]
  const damages = {
    missing: pieces.toSpliced(3, 1),
    doubled: pieces.toSpliced(3, 0, pieces[3]!),
    moved: pieces.with(3, pieces[4]!).with(4, pieces[3]!),
  }
  for (const [name, damaged] of Object.entries(damages)) {
    const recording = readRecording(Buffer.concat(damaged))
    assert.equal(recording.damage?.because, 'order', name)
    assert.equal(recording.complete, false)
  }
})

test('bytes behind the end are damage', () => {
  const bytes = encodeRecording(header, tapeOf([], true))
  assert.equal(readRecording(Buffer.concat([bytes, Uint8Array.of(0)])).damage?.because, 'after_end')
})

test('zeros that a power cut left at the end are a torn tail', () => {
  const bytes = encodeRecording(header, tapeOf([{ direction: 'inward', bytes: Uint8Array.of(1) }], false))
  const recording = readRecording(Buffer.concat([bytes, new Uint8Array(4096)]))
  assert.equal(recording.tornBytes, 4096)
  assert.equal(recording.damage, null)
  assert.equal(recording.records.length, 1)
})

test('noise of any kind is refused or read, never crashed on', () => {
  const noise = fc.oneof(
    fc.uint8Array({ maxLength: 400 }),
    fc.uint8Array({ maxLength: 400 }).map(bytes => Buffer.concat([encodePreamble(), bytes])),
    // Right checksums around payloads that are not what they should be.
    fc
      .array(
        fc.tuple(
          fc.nat(6),
          fc.nat(3),
          fc.oneof(
            fc.uint8Array(),
            fc.json().map(text => new TextEncoder().encode(text)),
          ),
        ),
      )
      .map(made =>
        Buffer.concat([
          encodePreamble(),
          encodeRecord(headerRecord(header)),
          ...made.map(([kind, direction, payload], ordinal) =>
            encodeRecord({ kind, direction, ordinal, wallUs: 0, monotonicUs: 0, payload }),
          ),
        ]),
      ),
  )
  fc.assert(
    fc.property(noise, bytes => void readOrRefuse(bytes)),
    { seed, numRuns: 1000 },
  )
})

test('a header that lacks a member, or has one of another kind, is refused by name', () => {
  for (const [name, value] of [
    ['session', 'ses_../../etc/passwd'],
    ['era', 'stone'],
    ['args', [1]],
    ['openedAt', -1],
  ] as const) {
    const wrong = { ...header, [name]: value } as unknown as RecordingHeader
    const bytes = Buffer.concat([
      encodePreamble(),
      encodeRecord({ ...headerRecord(header), payload: headerRecord(wrong).payload }),
    ])
    assert.throws(() => readRecording(bytes), { code: 'recording_unreadable', message: new RegExp(`\`${name}\``) })
  }
})

test('a newer format and an unknown flag are refused with the reason', () => {
  const bytes = encodeRecording(header, [])
  const newer = Uint8Array.from(bytes)
  newer[8] = 2
  assert.throws(() => readRecording(newer), { code: 'recording_unreadable', message: /format version 2/ })
  const flagged = Uint8Array.from(bytes)
  flagged[10] = 1
  assert.throws(() => readRecording(flagged), { code: 'recording_unreadable', message: /feature/ })
})

test('an event of a name this version does not know is counted and left out', () => {
  const payload = new TextEncoder().encode('{"name":"weather.changed","to":"rain"}')
  const bytes = Buffer.concat([
    encodePreamble(),
    encodeRecord(headerRecord(header)),
    encodeRecord({ kind: kindCodes.event, direction: 0, ordinal: 0, wallUs: 0, monotonicUs: 0, payload }),
    encodeRecord(rawRecordOf({ kind: 'end', ordinal: 1, wallUs: 0, monotonicUs: 0, reason: 'client', frames: 0 })),
  ])
  const recording = readRecording(bytes)
  assert.equal(recording.eventsUnknown, 1)
  assert.equal(recording.complete, true)
  assert.deepEqual(
    recording.records.map(record => record.kind),
    ['end'],
  )
})

test('frames are views into the file, not copies', () => {
  const bytes = encodeRecording(header, tapeOf([{ direction: 'inward', bytes: Uint8Array.of(7) }], true))
  const frame = readRecording(bytes).records[0] as FrameRecord
  assert.equal(frame.bytes.buffer, bytes.buffer)
})

/** Where each record ends, the header first. */
function* recordEnds(bytes: Uint8Array): Generator<number> {
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  for (let offset = preambleBytes; offset < bytes.length; ) {
    offset += 12 + view.getUint32(offset, true)
    yield offset
  }
}
