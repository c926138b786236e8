/**
 * Goal: whatever a client, a server or the machine does wrong, everybody else goes on, the one concerned is told why in
 * an error with a code, no process outlives its owner, and no completed recording is lost.
 * Method: do each thing to a running Conductor and look from the outside: at answers, at the API, at /proc.
 */
import assert from 'node:assert/strict'
import { request } from 'node:http'
import test, { after, before, describe } from 'node:test'
import type { ErrorCode } from '@maestro/contract'
import { type Misbehaviour, serverFolders } from '@maestro/testkit'
import { ApiProblem, type RunningConductor, startConductor } from './support/conductor.ts'
import { eventually } from './support/eventually.ts'
import { descendantsOf, isAlive } from './support/processes.ts'
import { initializeRequest, openRawSession, post, type RawAnswer } from './support/raw-session.ts'

let conductor: RunningConductor
let echo: { mcpUrl: string; token: string }
before(async () => {
  conductor = await startConductor({
    env: { MAESTRO_INITIALIZE_MS_MAX: '3000', MAESTRO_SANDBOX_MEMORY_MIB: '256', MAESTRO_SANDBOX_PIDS: '64' },
  })
  await conductor.deploy(serverFolders.echo, { name: 'echo' })
  echo = await conductor.mint('echo')
})
after(() => conductor?.[Symbol.asyncDispose]())

const codeOf = ({ last }: RawAnswer): string | undefined => last?.error?.data?.code
const textOf = ({ last }: RawAnswer): string | undefined =>
  (last?.result?.['content'] as { text: string }[] | undefined)?.[0]?.text

/** Somebody else's session works: what a fault must never change. */
async function othersAreServed(): Promise<void> {
  const session = await openRawSession(echo, 'bystander')
  assert.equal(textOf(await session.call('echo', { message: 'still here' })), 'Echo: still here')
  await session.end()
}

describe('a client that asks wrongly is told so', () => {
  const refused = async (expected: ErrorCode, status: number, answer: Promise<RawAnswer>) => {
    const got = await answer
    assert.deepEqual({ code: codeOf(got), status: got.status }, { code: expected, status })
    assert.ok(got.last?.error?.data?.hint, 'an error says what to do')
  }
  const ping = { jsonrpc: '2.0', id: 1, method: 'ping' }

  test('for what is not JSON', () => refused('frame_malformed', 400, post(echo.mcpUrl, echo.token, '{"jsonrpc": "2.0", ')))
  test('for JSON that is no message', () => refused('frame_invalid', 400, post(echo.mcpUrl, echo.token, { hello: 'world' })))
  test('for a body larger than allowed', () =>
    refused('frame_too_large', 413, post(echo.mcpUrl, echo.token, { ...ping, params: { x: 'x'.repeat(5 << 20) } })))
  test('for another content type', () =>
    refused('content_type_unsupported', 415, post(echo.mcpUrl, echo.token, ping, { headers: { 'content-type': 'text/plain' } })))
  test('for an answer it would not accept', () =>
    refused('accept_unsupported', 406, post(echo.mcpUrl, echo.token, ping, { headers: { accept: 'text/html' } })))
  test('for a method HTTP has but MCP has not', () =>
    refused('method_not_allowed', 405, post(echo.mcpUrl, echo.token, ping, { method: 'PUT' })))
  test('for a session nobody opened', () =>
    refused('session_not_found', 404, post(echo.mcpUrl, echo.token, ping, { headers: { 'mcp-session-id': 'ses_never' } })))
  test('for a protocol revision nobody speaks', async () => {
    const session = await openRawSession(echo, 'reviser')
    const headers = { 'mcp-session-id': session.id, 'mcp-protocol-version': '1999-12-31' }
    await refused('protocol_version_unsupported', 400, post(echo.mcpUrl, echo.token, ping, { headers }))
    await session.end()
  })
  test('for a web origin of somebody else', () =>
    refused('origin_denied', 403, post(echo.mcpUrl, echo.token, ping, { headers: { origin: 'https://evil.example' } })))
  test('for a host name that is not ours', async () => {
    // fetch does not let Host be set.
    const status = await new Promise((resolve, reject) => {
      const headers = { host: 'evil.example', 'content-type': 'application/json', authorization: `Bearer ${echo.token}` }
      request(echo.mcpUrl, { method: 'POST', headers }, answer => resolve(answer.resume().statusCode))
        .on('error', reject)
        .end(JSON.stringify(ping))
    })
    assert.equal(status, 403)
  })
  test('and everybody else goes on', othersAreServed)
})

describe('a token is good for what it says and for nothing else', () => {
  const knock = (token: string | null, url = echo.mcpUrl) => post(url, token, initializeRequest('knocker'))

  test('none', async () => {
    const answer = await knock(null)
    assert.equal(answer.status, 401)
    assert.equal(codeOf(answer), 'capability_missing')
    assert.match(answer.headers.get('www-authenticate') ?? '', /^Bearer/)
  })
  test('one that was changed, in any of its parts', async () => {
    const parts = echo.token.split('.')
    for (const index of parts.keys()) {
      const part = parts[index]!
      const middle = Math.floor(part.length / 2)
      const other = part[middle] === 'A' ? 'B' : 'A'
      const changed = parts.with(index, part.slice(0, middle) + other + part.slice(middle + 1)).join('.')
      const answer = await knock(changed)
      assert.equal(answer.status, 401, `part ${index}`)
      assert.equal(codeOf(answer), 'capability_invalid', `part ${index}`)
    }
  })
  test('one of another Conductor', async () => {
    await using other = await startConductor()
    await other.deploy(serverFolders.echo, { name: 'echo' })
    const { token } = await other.mint('echo')
    assert.equal(codeOf(await knock(token)), 'capability_invalid')
  })
  test('one that has expired, also in the middle of a session', async () => {
    const { mcpUrl, token } = await conductor.mint('echo', { ttlMs: 1000 })
    const session = await openRawSession({ mcpUrl, token }, 'latecomer')
    const answer = await eventually('the token expires', async () => {
      const answer = await session.call('echo', { message: 'late' })
      return answer.status === 401 && answer
    })
    assert.equal(codeOf(answer), 'capability_expired')
    assert.equal(codeOf(await knock(token)), 'capability_expired')
  })
  test('one for another deployment', async () => {
    await conductor.deploy(serverFolders.zoo, { name: 'still', args: ['still'] })
    const other = await conductor.mint('still')
    const answer = await knock(other.token)
    assert.equal(answer.status, 403)
    assert.equal(codeOf(answer), 'capability_insufficient')
    // A session id is no key: with it but without its deployment's token nobody gets in.
    const session = await openRawSession(echo, 'owner')
    const headers = { 'mcp-session-id': session.id }
    const ping = { jsonrpc: '2.0', id: 1, method: 'ping' }
    assert.equal((await post(echo.mcpUrl, other.token, ping, { headers })).status, 403)
    assert.equal((await post(other.mcpUrl, other.token, ping, { headers })).status, 404)
    await session.end()
  })
  test('one for some tools only', async () => {
    const { mcpUrl, token } = await conductor.mint('still', { tools: ['double'] })
    const session = await openRawSession({ mcpUrl, token }, 'narrow')
    assert.equal(textOf(await session.call('double', { value: 21 })), '42')
    assert.equal(codeOf(await session.call('join', { words: ['a'] })), 'capability_insufficient')
    const listed = (await session.request('tools/list')).last?.result?.['tools'] as { name: string }[]
    assert.deepEqual(
      listed.map(({ name }) => name),
      ['double'],
    )
    await session.end()
  })
  test('nor does one open the API of the operator', async () => {
    const answer = await fetch(new URL('/v1/deployments', conductor.ready.apiUrl), {
      headers: { authorization: `Bearer ${echo.token}` },
    })
    assert.ok(answer.status === 401 || answer.status === 403, String(answer.status))
  })
})

describe('a server that misbehaves harms its own session only', () => {
  const deployed = async (mode: Misbehaviour) => {
    await conductor.deploy(serverFolders.misbehaving, { name: `bad-${mode}`, args: [mode] })
    return openRawSession(await conductor.mint(`bad-${mode}`), `victim-${mode}`)
  }
  const closed = async (mode: Misbehaviour) => conductor.closedSession((await conductor.sessionOf(`victim-${mode}`)).id)
  /** The pool keeps warm what is deployed; for a fork bomb or a flood that is work for nothing. */
  const removed = (mode: Misbehaviour) => conductor.api('removeDeployment', { params: { id: `bad-${mode}` } })

  for (const mode of ['crash-on-start', 'hang-initialize'] as const) {
    test(`${mode}: it is not deployed, and what it said is passed on`, async () => {
      const refused = await conductor.deploy(serverFolders.misbehaving, { name: `bad-${mode}`, args: [mode] }).then(
        () => null,
        error => error,
      )
      assert.ok(refused instanceof ApiProblem, String(refused))
      assert.equal(refused.problem.code, 'manifest_failed')
      if (mode === 'crash-on-start') assert.match(JSON.stringify(refused.problem), /refusing to start as told/)
      const { items } = await conductor.api('listDeployments')
      assert.ok(!items.some(({ name }) => name === `bad-${mode}`))
    })
  }

  // First of those that start: a release keeps what its first run showed, whatever arguments came later.
  test('exit-on-ping: it is served all the same', async () => {
    const session = await deployed('exit-on-ping')
    assert.equal(textOf(await session.call('behave')), 'behaved')
    await session.end()
  })

  test('crash-on-call: the call fails with what it last said, the session is over', async () => {
    const session = await deployed('crash-on-call')
    const answer = await session.call('misbehave')
    assert.equal(codeOf(answer), 'sandbox_crashed')
    assert.match(JSON.stringify(answer.last), /crashing as told/)
    assert.equal((await session.call('behave')).status, 404)
    assert.equal((await closed('crash-on-call')).closeReason, 'sandbox_crashed')
    await othersAreServed()
  })

  test('flood-stdout: a client that does not read holds nobody up, and memory stays bounded', async () => {
    const session = await deployed('flood-stdout')
    const { mcpUrl, token } = await conductor.mint('bad-flood-stdout')
    const stop = new AbortController()
    const { signal } = stop
    // The session's own stream is where the flood goes; its body is never read.
    const headers = { accept: 'text/event-stream', authorization: `Bearer ${token}`, 'mcp-session-id': session.id }
    const unread = await fetch(mcpUrl, { headers, signal })
    assert.equal(unread.status, 200)
    const flooded = session.call('misbehave', {}, { signal }).catch(error => error)
    const before = (await conductor.api('getStatus')).rssBytes
    const { id } = await conductor.sessionOf('victim-flood-stdout')
    await eventually('the flood has come', async () => (await conductor.api('getSession', { params: { id } })).frames > 100)
    for (let round = 0; round < 5; round++) await othersAreServed()
    assert.ok((await conductor.api('getStatus')).rssBytes < before + 300e6)
    await conductor.api('closeSession', { params: { id } })
    await closed('flood-stdout')
    stop.abort()
    await flooded
    await removed('flood-stdout')
  })

  test('flood-stderr: the session goes on answering', async () => {
    const session = await deployed('flood-stderr')
    const stop = new AbortController()
    const flooding = session.call('misbehave', {}, { signal: stop.signal }).catch(error => error)
    assert.equal(textOf(await session.call('behave')), 'behaved')
    await othersAreServed()
    await session.end()
    stop.abort()
    await flooding
    await closed('flood-stderr')
    await removed('flood-stderr')
  })

  test('garble: lines that are no JSON-RPC are kept from the client', async () => {
    const session = await deployed('garble')
    const answer = await session.call('misbehave')
    assert.ok(textOf(answer) === 'after the garble' || codeOf(answer) === 'server_garbled', JSON.stringify(answer.last))
    assert.equal(answer.messages.length, 1)
    await session.end()
    await othersAreServed()
  })

  test('fork-bomb: it comes to its limit of processes, and goes with its session', async t => {
    const session = await deployed('fork-bomb')
    const calling = session.call('misbehave').catch(error => error)
    let most = 0
    const counting = setInterval(() => {
      most = Math.max(most, descendantsOf(conductor.pid).length)
    }, 100)
    await othersAreServed()
    await calling
    clearInterval(counting)
    const bomb = await conductor.sessionOf('victim-fork-bomb')
    if (bomb.state !== 'closed') await conductor.api('closeSession', { params: { id: bomb.id } })
    await closed('fork-bomb')
    await removed('fork-bomb')
    // The limit counts threads too, so fewer processes than that; the rest are Conductor, its database and warm sandboxes.
    t.diagnostic(`at most ${most} processes`)
    assert.ok(most < 64 + 150, `${most} processes`)
    await eventually(
      'the bomb is gone',
      () => conductor.survivors().filter(({ command }) => command.includes(' -e ')).length === 0,
    )
    await othersAreServed()
  })

  test('memory-hog: it comes to its limit of memory', async () => {
    const session = await deployed('memory-hog')
    const code = codeOf(await session.call('misbehave'))
    assert.ok(code === 'sandbox_limit_reached' || code === 'sandbox_crashed', code)
    await closed('memory-hog')
    await othersAreServed()
  })

  test('slow: other calls of the session overtake it', async () => {
    const session = await deployed('slow')
    let isDone = false
    const slow = session.call('misbehave').then(answer => {
      isDone = true
      return answer
    })
    assert.equal(textOf(await session.call('behave')), 'behaved')
    assert.equal(isDone, false)
    assert.equal(textOf(await slow), 'after five seconds')
    await session.end()
  })

  test('never-answer: the client can end it', async () => {
    const session = await deployed('never-answer')
    const waiting = session.call('misbehave').catch(error => error)
    assert.equal(textOf(await session.call('behave')), 'behaved')
    assert.ok((await session.end()) < 300)
    await waiting
    await closed('never-answer')
  })

  test('huge-frame: a frame over the limit ends the session, and memory stays bounded', async () => {
    const session = await deployed('huge-frame')
    const answer = await session.call('misbehave')
    assert.equal(codeOf(answer), 'sandbox_limit_reached')
    assert.equal((await closed('huge-frame')).closeReason, 'sandbox_limit_reached')
    await othersAreServed()
  })

  test('ignore-sigterm: it goes with its session all the same', async () => {
    const session = await deployed('ignore-sigterm')
    assert.equal(textOf(await session.call('misbehave')), 'try to end me')
    await session.end()
    await closed('ignore-sigterm')
    await removed('ignore-sigterm')
    await eventually('its processes are gone', () =>
      conductor.survivors().every(({ command }) => !command.includes('ignore-sigterm')),
    )
  })

  test('killed from outside: the call in flight fails with a code, a new session works', async () => {
    const session = await deployed('behave')
    const sandboxes = conductor.survivors().filter(({ command }) => command.endsWith(' behave'))
    assert.ok(sandboxes.length > 0, 'the sandbox is found by its arguments')
    for (const { pid } of sandboxes) if (isAlive(pid)) process.kill(pid, 'SIGKILL')
    const answer = await eventually('the session is over', async () => {
      const answer = await session.call('behave')
      return textOf(answer) === undefined && answer
    })
    assert.ok(answer.status === 404 || codeOf(answer) === 'sandbox_crashed', JSON.stringify(answer.last))
    assert.equal((await closed('behave')).closeReason, 'sandbox_crashed')
    assert.equal(textOf(await (await deployed('behave')).call('behave')), 'behaved')
  })

  test('after all this no process is an orphan and every session has its recording', async () => {
    assert.equal((await conductor.api('getPool')).orphans, 0)
    const { items } = await conductor.api('listSessions', { query: { limit: 500 } })
    for (const { id } of items) {
      const recording = (await conductor.api('getRecording', { params: { id } })) as Buffer
      assert.ok(recording.length > 0, id)
    }
  })
})
