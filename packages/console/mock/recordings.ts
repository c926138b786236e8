import type {
  DeploymentId,
  Direction,
  RecordingHeader,
  ReleaseId,
  SandboxId,
  SessionId,
  TapeEvent,
  TapeRecord,
} from '@maestro/contract'
import { localTenant, makeId } from '@maestro/contract'
import { encodeRecording } from '@maestro/logic'

const utf8 = new TextEncoder()

/** Writes a tape as a recorder would, with a clock that moves when told. */
export class Tape {
  readonly records: TapeRecord[] = []
  readonly #header: RecordingHeader
  #us = 0
  #id = 0

  constructor(header: RecordingHeader) {
    this.#header = header
  }

  after(ms: number): this {
    this.#us += Math.round(ms * 1000)
    return this
  }

  frame(direction: Direction, message: unknown): this {
    const text = typeof message === 'string' ? message : JSON.stringify(message)
    this.records.push({ kind: 'frame', ...this.#place(), direction, bytes: utf8.encode(text) })
    return this
  }

  event(event: TapeEvent): this {
    this.records.push({ kind: 'event', ...this.#place(), event })
    return this
  }

  /** A request of the client; `while` happens before the answer. */
  ask(
    method: string,
    params: unknown,
    tookMs: number,
    answer: { result: unknown } | { error: unknown },
    meanwhile?: (id: number) => void,
  ): this {
    const id = this.#id++
    this.frame('inward', { jsonrpc: '2.0', id, method, params })
    if (meanwhile) meanwhile(id)
    this.after(tookMs)
    return this.frame('outward', { jsonrpc: '2.0', id, ...answer })
  }

  end(reason: string): this {
    const frames = this.records.filter(record => record.kind === 'frame').length
    this.records.push({ kind: 'end', ...this.#place(), reason, frames })
    return this
  }

  bytes(): Uint8Array {
    return encodeRecording(this.#header, this.records)
  }

  #place() {
    return { ordinal: this.records.length, wallUs: this.#header.openedAt * 1000 + this.#us, monotonicUs: this.#us }
  }
}

interface Ran {
  session: SessionId
  deployment: DeploymentId
  deploymentName: string
  release: ReleaseId
  releaseName: string
  releaseVersion: string
  digest: string
  openedAt: number
}

export const headerOf = (ran: Ran): RecordingHeader => ({
  ...ran,
  tenant: localTenant,
  era: 'session',
  driver: 'bubblewrap',
  sandbox: makeId('sbx', ran.openedAt, new Uint8Array(11)) as SandboxId,
  args: ['stdio'],
  envNames: ['GITHUB_TOKEN'],
  egress: ['api.github.com'],
  runtime: 'node v24.21.0',
  conductorVersion: '0.1.0',
})

const hello = (tape: Tape) =>
  tape
    .event({ name: 'lease.granted', warm: true, waitMs: 0.42, startMs: 118 })
    .after(0.6)
    .ask(
      'initialize',
      {
        protocolVersion: '2025-11-25',
        capabilities: { elicitation: {}, sampling: {} },
        clientInfo: { name: 'claude-code', version: '2.1.3' },
      },
      9.1,
      {
        result: {
          protocolVersion: '2025-11-25',
          capabilities: { tools: { listChanged: true }, logging: {} },
          serverInfo: { name: 'everything', version: '2.0.0' },
        },
      },
    )
    .after(2)
    .frame('inward', { jsonrpc: '2.0', method: 'notifications/initialized' })

/** Everything the viewer can show: progress, elicitation, errors of both kinds, stderr, denial, cancellation, a crash. */
export function sampleTape(ran: Ran): Tape {
  const tape = hello(new Tape(headerOf(ran)))
  tape.after(6).ask('tools/list', undefined, 3.4, {
    result: {
      tools: [{ name: 'search_issues', inputSchema: { type: 'object' } }, { name: 'create_issue' }, { name: 'longRunning' }],
    },
  })
  tape.after(640).ask(
    'tools/call',
    { name: 'search_issues', arguments: { repo: 'acme/app', query: 'is:open label:bug', limit: 20 } },
    184,
    {
      result: {
        content: [
          {
            type: 'text',
            text: 'Found 3 open issues:\n#412 Checkout fails on Safari\n#398 Totals off by one cent\n#377 Slow search',
          },
        ],
        structuredContent: {
          total: 3,
          issues: [
            { number: 412, title: 'Checkout fails on Safari', labels: ['bug', 'p1'], assignee: null },
            { number: 398, title: 'Totals off by one cent', labels: ['bug'], assignee: 'rosa' },
            { number: 377, title: 'Slow search', labels: ['bug', 'perf'], assignee: 'li' },
          ],
        },
      },
    },
    () => tape.after(12).event({ name: 'egress', host: 'api.github.com', port: 443, outcome: 'allowed' }).after(20),
  )
  tape.after(5).event({ name: 'client.received', frame: tape.records.length - 1 })
  tape.after(900).event({ name: 'server.stderr', text: 'warn: rate limit 4988/5000, resets in 41 min\n' })
  tape
    .after(30)
    .ask(
      'tools/call',
      { name: 'longRunning', arguments: { steps: 4 }, _meta: { progressToken: 'p-1' } },
      210,
      { result: { content: [{ type: 'text', text: 'done after 4 steps' }] } },
      () => {
        for (let step = 1; step <= 4; step++) {
          tape.after(260).frame('outward', {
            jsonrpc: '2.0',
            method: 'notifications/progress',
            params: { progressToken: 'p-1', progress: step, total: 4, message: `step ${step}` },
          })
        }
        tape.after(10).frame('outward', {
          jsonrpc: '2.0',
          method: 'notifications/message',
          params: { level: 'info', data: 'all steps queued' },
        })
      },
    )
  tape
    .after(420)
    .ask(
      'tools/call',
      { name: 'create_issue', arguments: { repo: 'acme/app', title: 'Round totals half to even' } },
      96,
      { result: { content: [{ type: 'text', text: 'Created #413' }] } },
      () => {
        tape
          .after(40)
          .frame('outward', {
            jsonrpc: '2.0',
            id: 'elicit-1',
            method: 'elicitation/create',
            params: {
              message: 'Which label should the issue bear?',
              requestedSchema: { type: 'object', properties: { label: { type: 'string' } } },
            },
          })
          .after(1_340)
          .frame('inward', { jsonrpc: '2.0', id: 'elicit-1', result: { action: 'accept', content: { label: 'bug' } } })
      },
    )
  tape.after(150).ask('tools/call', { name: 'create_issue', arguments: { repo: 'acme/private', title: 'x' } }, 71, {
    result: { content: [{ type: 'text', text: '404 Not Found: acme/private' }], isError: true },
  })
  tape.after(60).event({ name: 'policy.denied', code: 'capability_insufficient', method: 'tools/call', tool: 'delete_repo' })
  tape.after(90).ask('prompts/get', { name: 'nope' }, 1.2, { error: { code: -32602, message: 'Prompt nope not found' } })
  tape
    .after(300)
    .frame('inward', { jsonrpc: '2.0', id: 90, method: 'tools/call', params: { name: 'longRunning', arguments: { steps: 50 } } })
  tape.after(800).frame('inward', {
    jsonrpc: '2.0',
    method: 'notifications/cancelled',
    params: { requestId: 90, reason: 'user pressed stop' },
  })
  tape
    .after(200)
    .ask('tools/call', { name: 'search_issues', arguments: { repo: 'acme/app', query: 'nothing' } }, 45, { result: {} })
  return tape
}

/** Many calls, to see that rows are drawn as they are scrolled to. */
export function longTape(ran: Ran, calls: number): Tape {
  const tape = hello(new Tape(headerOf(ran)))
  for (let call = 0; call < calls; call++) {
    const isBad = call % 97 === 13
    tape
      .after(4 + (call % 7) * 3)
      .ask('tools/call', { name: call % 5 ? 'echo' : 'search', arguments: { message: `call ${call}` } }, 1 + ((call * 37) % 40), {
        ...(isBad
          ? { error: { code: -32000, message: `call ${call} failed` } }
          : { result: { content: [{ type: 'text', text: `echo ${call}` }] } }),
      })
  }
  return tape
}

/** A server that printed nonsense and died. */
export function crashedTape(ran: Ran): Tape {
  return hello(new Tape(headerOf(ran)))
    .after(30)
    .event({ name: 'server.garbled', text: 'Listening on port 3000', bytes: 22 })
    .after(400)
    .frame('inward', { jsonrpc: '2.0', id: 7, method: 'tools/call', params: { name: 'boom', arguments: {} } })
    .after(35)
    .event({
      name: 'server.stderr',
      text: 'TypeError: Cannot read properties of undefined (reading "length")\n    at boom (index.js:41:12)\n',
    })
    .after(2)
    .event({ name: 'server.exited', code: 1, signal: null, reason: 'sandbox_crashed' })
    .end('sandbox_crashed')
}

/** What a hostile server might put on a tape: nothing of it may take the page down. */
export function hostileTape(ran: Ran): Tape {
  const deep = `${'['.repeat(40_000)}${']'.repeat(40_000)}`
  return hello(new Tape(headerOf(ran)))
    .frame('outward', `{"jsonrpc":"2.0","method":"notifications/message","params":{"level":{"a":1},"data":${deep}}}`)
    .frame('outward', '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":{"toString":1},"message":[null]}}')
    .frame('outward', '[]')
    .frame('outward', 'null')
    .frame('outward', '{"jsonrpc":"2.0","id":{"x":1},"result":7}')
    .frame(
      'inward',
      '{"jsonrpc":"2.0","id":1e400,"method":"tools/call","params":{"name":"\u202Egnihton","arguments":"<img src=x onerror=alert(1)>"}}',
    )
    .frame('outward', '{"jsonrpc":"2.0","id":0,"error":{"code":"<b>","message":["<b>"]}}')
    .frame('outward', '\u0000\u001b[31m not JSON')
    .end('client')
}
