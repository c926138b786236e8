import type { RecordingHeader, TapeRecord } from '@maestro/contract'
import { encodeRecording, type Recording, readRecording } from '@maestro/logic'
import type { Upstream } from '../../session/stages.ts'

/** What the client does next: send a frame, wait until so many outputs came in all, or answer the server’s newest question. */
export type ClientStep = { send: object } | { outputs: number } | { answer: object }

export const header = {
  session: 'ses_00000000000000000001',
  tenant: 'ten_00000000000000local0',
  deployment: 'dep_00000000000000000002',
  deploymentName: 'test',
  release: 'rel_00000000000000000003',
  releaseName: 'test',
  releaseVersion: '1.0.0',
  digest: 'sha256:test',
  era: 'session',
  driver: 'test',
  sandbox: null,
  args: [],
  envNames: [],
  egress: [],
  runtime: null,
  conductorVersion: '0.1.0',
  openedAt: 1_780_000_000_000,
} as unknown as RecordingHeader

/** Runs a server once as a session would, and returns its tape, through the bytes. Records are 1 ms apart. */
export async function recordRun(upstream: Upstream, steps: readonly ClientStep[]): Promise<Recording> {
  const records: TapeRecord[] = []
  const at = () => ({ ordinal: records.length, wallUs: records.length * 1000, monotonicUs: records.length * 1000 })
  let outputs = 0
  let question: unknown = null
  let wake = () => {}
  const took = () => {
    outputs++
    wake()
  }
  upstream.onEvent(event => {
    records.push({ kind: 'event', ...at(), event })
    if (event.name === 'server.garbled') took()
  })
  upstream.onFrame(bytes => {
    records.push({ kind: 'frame', ...at(), direction: 'outward', bytes: Uint8Array.from(bytes) })
    const frame = JSON.parse(new TextDecoder().decode(bytes))
    if (frame.method && frame.id !== undefined) question = frame.id
    took()
  })
  let isClosing = false
  void upstream.exited.then(({ code, signal, reason }) => {
    if (!isClosing) records.push({ kind: 'event', ...at(), event: { name: 'server.exited', code, signal, reason } })
    took()
  })
  for (const step of steps) {
    if ('outputs' in step) {
      while (outputs < step.outputs) await new Promise<void>(resolve => (wake = resolve))
      continue
    }
    const frame = 'send' in step ? step.send : { id: question, result: step.answer }
    const bytes = new TextEncoder().encode(JSON.stringify({ jsonrpc: '2.0', ...frame }))
    records.push({ kind: 'frame', ...at(), direction: 'inward', bytes })
    upstream.send(bytes)
  }
  isClosing = true
  await upstream.close()
  const frames = records.filter(record => record.kind === 'frame').length
  return readRecording(encodeRecording(header, [...records, { kind: 'end', ...at(), reason: 'client', frames }]))
}
