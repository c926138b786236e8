/**
 * Freezes the bytes of format version 1: the samples in `spec/recording/samples` are what this code writes, and what
 * readers in every language are tested on. A sample that was ever shipped never changes; a new version brings new ones.
 * WRITE_SAMPLES=1 makes the ones that are missing.
 */
import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import test from 'node:test'
import { fileURLToPath } from 'node:url'
import type { RecordingHeader, TapeRecord } from '@maestro/contract'
import { encodeRecording } from './encode.ts'
import { exchangesOf } from './exchanges.ts'
import { readRecording } from './read.ts'

const sampleOf = (name: string) => fileURLToPath(new URL(`../../../../spec/recording/samples/${name}.mcrec`, import.meta.url))
const utf8 = new TextEncoder()

const header = {
  session: 'ses_0mh6a4k5c00000000001',
  tenant: 'ten_00000000000000local0',
  deployment: 'dep_0mh6a4k5c00000000002',
  deploymentName: 'demo',
  release: 'rel_0mh6a4k5c00000000003',
  releaseName: '@example/demo-server',
  releaseVersion: '1.2.3',
  digest: `sha256:${'5a'.repeat(32)}`,
  era: 'session',
  driver: 'bubblewrap',
  sandbox: 'sbx_0mh6a4k5c00000000004',
  args: ['--quiet'],
  envNames: ['DEMO_TOKEN'],
  egress: [],
  runtime: 'node v24.21.0',
  conductorVersion: '0.1.0',
  openedAt: 1_764_000_000_000,
} as unknown as RecordingHeader

/** A session with everything the format has: frames both ways, progress, a question to the client, events, raw bytes. */
function sealedTape(): TapeRecord[] {
  const records: TapeRecord[] = []
  const at = () => {
    const ordinal = records.length
    return { ordinal, wallUs: 1_764_000_000_000_000 + ordinal * 1000, monotonicUs: ordinal * 1000 }
  }
  const frame = (direction: 'inward' | 'outward', text: string) =>
    records.push({ kind: 'frame', ...at(), direction, bytes: utf8.encode(text) })
  const event = (made: Extract<TapeRecord, { kind: 'event' }>['event']) => records.push({ kind: 'event', ...at(), event: made })

  event({ name: 'lease.granted', warm: true, waitMs: 1.5, startMs: 43.25 })
  frame(
    'inward',
    '{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"elicitation":{}},"clientInfo":{"name":"sample","version":"1"}}}',
  )
  frame(
    'outward',
    '{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"demo","version":"1.2.3"}}}',
  )
  event({ name: 'client.received', frame: 2 })
  frame('inward', '{"jsonrpc":"2.0","method":"notifications/initialized"}')
  frame(
    'inward',
    '{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"greet","arguments":{},"_meta":{"progressToken":7}}}',
  )
  frame('outward', '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":7,"progress":1,"total":2}}')
  frame(
    'outward',
    '{"jsonrpc":"2.0","id":0,"method":"elicitation/create","params":{"message":"Who?","requestedSchema":{"type":"object","properties":{"name":{"type":"string"}}}}}',
  )
  frame('inward', '{"jsonrpc":"2.0","id":0,"result":{"action":"accept","content":{"name":"Zoë"}}}')
  // A big integer, a doubled key and a lone surrogate: bytes are kept, not values.
  frame(
    'outward',
    '{"jsonrpc":"2.0","id":"a","result":{"content":[{"type":"text","text":"Hello, Zoë"}],"_meta":{"n":9007199254740993,"k":1,"k":2,"s":"\\ud800"}}}',
  )
  event({ name: 'server.stderr', text: 'greeted one person\n' })
  records.push({ kind: 'end', ...at(), reason: 'client', frames: 8 })
  return records
}

/** Connections to the network and what went over them, as a later writer of this version tells of them. */
function egressTape(): TapeRecord[] {
  const records: TapeRecord[] = []
  const at = () => ({
    ordinal: records.length,
    wallUs: 1_764_000_000_000_000 + records.length * 1000,
    monotonicUs: records.length * 1000,
  })
  const event = (made: Extract<TapeRecord, { kind: 'event' }>['event']) => records.push({ kind: 'event', ...at(), event: made })
  const frame = (direction: 'inward' | 'outward', text: string) =>
    records.push({ kind: 'frame', ...at(), direction, bytes: utf8.encode(text) })
  const [host, port] = ['api.example.com', 443]

  event({ name: 'lease.granted', warm: false, waitMs: 0, startMs: 61.5 })
  frame('inward', '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"fetch","arguments":{}}}')
  event({ name: 'egress', host: 'evil.example', port: 443, outcome: 'denied: not on the allow-list' })
  event({ name: 'egress', host, port, outcome: 'connected', connection: 1 })
  event({
    name: 'egress.exchange',
    connection: 1,
    method: 'POST',
    url: 'https://api.example.com/v1/things?token=[masked]',
    status: 200,
    ms: 12,
    requestHeaders: [
      ['Host', 'api.example.com'],
      ['Authorization', '[masked]'],
    ],
    responseHeaders: [['content-type', 'application/octet-stream']],
    requestBody: { bytes: 13, digest: `sha256:${'1a'.repeat(32)}`, text: '{"name":"Zoë"}', cut: false },
    responseBody: { bytes: 100_000, digest: `sha256:${'2b'.repeat(32)}`, text: null, cut: false },
  })
  event({ name: 'egress.closed', connection: 1, host, port, upBytes: 900, downBytes: 101_000, ms: 40, reason: 'closed inside' })
  frame('outward', '{"jsonrpc":"2.0","id":1,"result":{"content":[]}}')
  records.push({ kind: 'end', ...at(), reason: 'client', frames: 2 })
  return records
}

const sealed = encodeRecording(header, sealedTape())
const samples = {
  'v1-sealed': sealed,
  // The last frame lost its last 40 bytes, and everything behind it: a crash while it was written.
  'v1-cut-off': sealed.subarray(0, readEnd(9) - 40),
  // One bit of the progress frame’s payload.
  'v1-damaged': flip(sealed, readEnd(6) - 10),
  'v1-egress': encodeRecording({ ...header, egress: ['api.example.com'] }, egressTape()),
}

for (const [name, bytes] of Object.entries(samples)) {
  test(`the bytes of the sample ${name} are frozen`, () => {
    const path = sampleOf(name)
    if (process.env['WRITE_SAMPLES'] && !existsSync(path)) writeFileSync(path, bytes)
    assert.deepEqual(Buffer.from(bytes), readFileSync(path))
  })
}

test('the sealed sample reads as the specification says', () => {
  const recording = readRecording(Uint8Array.from(readFileSync(sampleOf('v1-sealed'))))
  assert.equal(recording.complete, true)
  assert.deepEqual(recording.records.slice(0, -1), sealedTape().slice(0, -1))
  assert.deepEqual(
    exchangesOf(recording).map(row => [row.id, row.method, row.state, row.frames, row.children.map(child => child.method)]),
    [
      ['f1', 'initialize', 'ok', [1, 2], []],
      ['f4', 'notifications/initialized', 'ok', [4], []],
      ['f5', 'tools/call', 'ok', [5, 9], ['notifications/progress', 'elicitation/create']],
    ],
  )
})

test('the cut-off sample is read up to its last whole record', () => {
  const recording = readRecording(readFileSync(sampleOf('v1-cut-off')))
  assert.equal(recording.complete, false)
  assert.equal(recording.damage, null)
  assert.equal(recording.records.length, 9)
  assert.equal(recording.tornBytes, samples['v1-cut-off'].length - readEnd(8))
})

test('the egress sample reads as it was written', () => {
  const recording = readRecording(Uint8Array.from(readFileSync(sampleOf('v1-egress'))))
  assert.equal(recording.complete, true)
  assert.deepEqual(recording.records, egressTape())
})

test('the damaged sample names the damaged record', () => {
  const recording = readRecording(readFileSync(sampleOf('v1-damaged')))
  assert.deepEqual(recording.damage, { offset: readEnd(5), bytes: sealed.length - readEnd(5), because: 'checksum' })
  assert.equal(recording.records.length, 6)
})

/** Where the record of this ordinal ends in the sealed sample. */
function readEnd(ordinal: number): number {
  const view = new DataView(sealed.buffer)
  let offset = 12
  for (let record = -1; record <= ordinal; record++) offset += 12 + view.getUint32(offset, true)
  return offset
}

function flip(bytes: Uint8Array, at: number): Uint8Array {
  const copy = Uint8Array.from(bytes)
  copy[at]! ^= 1
  return copy
}
