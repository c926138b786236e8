import assert from 'node:assert/strict'
import test from 'node:test'
import type { RecordingHeader, TapeRecord } from '@maestro/contract'
import { encodeRecording, readRecording } from '@maestro/logic'
import { recordedManifest } from './recorded-manifest.ts'

const header = (era: RecordingHeader['era']): RecordingHeader => ({
  session: 'ses_00000000000000000001' as RecordingHeader['session'],
  tenant: 'ten_00000000000000local0' as RecordingHeader['tenant'],
  deployment: 'dep_00000000000000000001' as RecordingHeader['deployment'],
  deploymentName: 'x',
  release: 'rel_00000000000000000001' as RecordingHeader['release'],
  releaseName: '@acme/x',
  releaseVersion: '1.2.3',
  digest: `sha256:${'0'.repeat(64)}`,
  era,
  driver: 'process',
  sandbox: null,
  args: [],
  envNames: [],
  egress: [],
  runtime: null,
  conductorVersion: '0.1.0',
  openedAt: 1,
})

/** A sealed recording of these messages, one millisecond apart; requests go inward, all else outward. */
function recordingOf(era: RecordingHeader['era'], messages: object[]) {
  const frames = messages.map((message, ordinal): TapeRecord => {
    const bytes = new TextEncoder().encode(JSON.stringify({ jsonrpc: '2.0', ...message }))
    const direction = 'method' in message ? 'inward' : 'outward'
    return { kind: 'frame', ordinal, wallUs: 1_000_000 + ordinal * 1000, monotonicUs: ordinal * 1000, direction, bytes }
  })
  return readRecording(encodeRecording(header(era), frames))
}

test('a recorded server is what it said when it was recorded', () => {
  const manifest = recordedManifest(
    recordingOf('session', [
      { id: 1, method: 'initialize', params: {} },
      {
        id: 1,
        result: { protocolVersion: '2025-06-18', serverInfo: { name: 'x' }, capabilities: { tools: {} }, instructions: 'Hi' },
      },
      { id: 2, method: 'tools/list' },
      { id: 2, result: { tools: [{ name: 'a' }, { name: 'b' }, { broken: true }], nextCursor: 'n' } },
      { id: 3, method: 'tools/list', params: { cursor: 'n' } },
      { id: 3, result: { tools: [{ name: 'c' }, { name: 'a', description: 'newer' }] } },
      { id: 4, method: 'prompts/list' },
      { id: 4, error: { code: -1, message: 'no' } },
    ]),
  )
  assert.deepEqual(manifest, {
    protocolVersion: '2025-06-18',
    serverInfo: { name: 'x' },
    capabilities: { tools: {} },
    instructions: 'Hi',
    tools: [{ name: 'a', description: 'newer' }, { name: 'b' }, { name: 'c' }],
    prompts: [],
    resources: [],
    resourceTemplates: [],
    startupMs: 1,
    pingBeforeInitialize: false,
  })
})

test('what was not asked while it was recorded is left out, and the header stands in for the name', () => {
  const manifest = recordedManifest(recordingOf('session', []))
  assert.equal(manifest.protocolVersion, '2025-11-25')
  assert.deepEqual(manifest.serverInfo, { name: '@acme/x', version: '1.2.3' })
  assert.deepEqual(manifest.tools, [])
})

test('a stateless session is described by what was discovered', () => {
  const discovered = {
    supportedVersions: ['2026-07-28'],
    capabilities: { tools: {} },
    _meta: { 'io.modelcontextprotocol/serverInfo': { name: 'modern' } },
  }
  const manifest = recordedManifest(
    recordingOf('stateless', [
      { id: 1, method: 'server/discover' },
      { id: 1, result: discovered },
      { id: 1, method: 'tools/list' },
      { id: 1, result: { tools: [{ name: 'm' }] } },
    ]),
  )
  assert.equal(manifest.protocolVersion, '2026-07-28')
  assert.deepEqual(manifest.serverInfo, { name: 'modern' })
  assert.deepEqual(manifest.tools, [{ name: 'm' }])
})
