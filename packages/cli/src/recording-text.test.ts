import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import type { RecordingHeader, TapeRecord } from '@maestro/contract'
import { encodeRecording, readRecording } from '@maestro/logic'
import type { Context } from './context.ts'
import { readTape } from './read-tape.ts'
import { recordingText } from './recording-text.ts'

const header: RecordingHeader = {
  session: 'ses_00000000000000000001' as RecordingHeader['session'],
  tenant: 'ten_00000000000000local0' as RecordingHeader['tenant'],
  deployment: 'dep_00000000000000000001' as RecordingHeader['deployment'],
  deploymentName: 'zoo',
  release: 'rel_00000000000000000001' as RecordingHeader['release'],
  releaseName: '@acme/zoo',
  releaseVersion: '1.2.3',
  digest: `sha256:${'0'.repeat(64)}`,
  era: 'session',
  driver: 'bubblewrap',
  sandbox: null,
  args: [],
  envNames: [],
  egress: [],
  runtime: null,
  conductorVersion: '0.1.0',
  openedAt: 0,
}

const frame = (ordinal: number, ms: number, direction: 'inward' | 'outward', message: object): TapeRecord => ({
  kind: 'frame',
  ordinal,
  wallUs: ms * 1000,
  monotonicUs: ms * 1000,
  direction,
  bytes: Buffer.from(JSON.stringify({ jsonrpc: '2.0', ...message })),
})

const tape = encodeRecording(header, [
  {
    kind: 'event',
    ordinal: 0,
    wallUs: 0,
    monotonicUs: 0,
    event: { name: 'lease.granted', warm: true, waitMs: 0.12345, startMs: 100 },
  },
  frame(1, 1, 'inward', { id: 1, method: 'tools/call', params: { name: 'add', _meta: { progressToken: 'p' } } }),
  frame(2, 3, 'outward', { method: 'notifications/progress', params: { progressToken: 'p' } }),
  frame(3, 21, 'outward', { id: 1, error: { code: -32000, message: 'no \u001b[2J' } }),
  { kind: 'event', ordinal: 4, wallUs: 30_000, monotonicUs: 30_000, event: { name: 'server.stderr', text: 'bye' } },
])
const text = recordingText(readRecording(tape), { style: (_, words) => words })

test('a recording reads as rows in time: request, answer, duration, size, what happened meanwhile', () => {
  assert.match(text[0] ?? '', /ses_00000000000000000001 {2}zoo {2}@acme\/zoo@1\.2\.3/)
  assert.match(text[1] ?? '', /session era, bubblewrap.*no end on the tape/)
  const rows = text.slice(3)
  assert.match(rows[0] ?? '', /lease\.granted warm=true waitMs=0\.123/)
  assert.match(rows[1] ?? '', /0\.001 s → tools\/call add +error +20 ms .*-32000 no/)
  assert.match(rows[2] ?? '', /0\.003 s {3}← notifications\/progress/)
  assert.match(rows[3] ?? '', /server\.stderr text=bye/)
  assert.equal(rows.length, 4)
})

test('what a server made up cannot steer the terminal', () => {
  assert.doesNotMatch(text.join(''), /\u001b/)
})

test('a recording file is read with no Conductor; what is none is refused with a code', async t => {
  const cwd = await mkdtemp(join(tmpdir(), 'maestro-tape-'))
  t.after(() => rm(cwd, { recursive: true }))
  await writeFile(join(cwd, 'good.mcrec'), tape)
  await writeFile(join(cwd, 'bad.mcrec'), tape.subarray(3))
  const context = { cwd, client: () => Promise.reject(new Error('asked for a Conductor')) } as unknown as Context
  assert.equal((await readTape('good.mcrec', context)).header.session, header.session)
  await assert.rejects(readTape('bad.mcrec', context), { code: 'recording_unreadable' })
  await assert.rejects(readTape('none.mcrec', context), { code: 'recording_unreadable' })
})
