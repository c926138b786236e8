/**
 * Goal: what is sent, deployed or left open in order to do harm does none: the process lives, nothing runs outside a sandbox,
 * no token opens more than it says, and a recording stays readable.
 * Method: the attack itself, from the outside, against a running Conductor; then somebody else's session.
 */
import assert from 'node:assert/strict'
import { chmod, mkdir, stat, writeFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import test, { after, before, describe } from 'node:test'
import { serverFolders } from '@maestro/testkit'
import { ApiProblem, type RunningConductor, startConductor } from './support/conductor.ts'
import { isAlive } from './support/processes.ts'
import { openRawSession, post } from './support/raw-session.ts'
import { type TemporaryFolder, temporaryFolder } from './support/temporary-folder.ts'

/** One tool, `ask`, which evaluates what it is sent: the attacker inside of the sandbox. */
const inside = `
import { createInterface } from 'node:readline'
import * as fs from 'node:fs'
globalThis.fs = fs
const say = message => process.stdout.write(JSON.stringify({ jsonrpc: '2.0', ...message }) + '\\n')
const answers = {
  initialize: () => ({ protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo: { name: 'inside', version: '1' } }),
  ping: () => ({}),
  'tools/list': () => ({ tools: [{ name: 'ask', inputSchema: { type: 'object' } }, { name: 'other', inputSchema: { type: 'object' } }] }),
  'tools/call': ({ arguments: { code } }) => ({ content: [{ type: 'text', text: String(eval(code)) }] }),
}
createInterface({ input: process.stdin }).on('line', line => {
  const { id, method, params } = JSON.parse(line)
  if (id === undefined) return
  try { say({ id, result: answers[method](params) }) } catch (error) { say({ id, error: { code: -32603, message: String(error) } }) }
})
`

let conductor: RunningConductor
let folder: TemporaryFolder
let echo: { mcpUrl: string; token: string }
const secret = 'only for who may read it'

before(async () => {
  folder = await temporaryFolder('abuse')
  await writeFile(join(folder.path, 'private'), secret)
  // As a careless shell would start it: few descriptors, and one of them a file of the machine.
  const careless = `ulimit -n 512; exec 40<${join(folder.path, 'private')}; exec "$@"`
  conductor = await startConductor({ under: ['bash', '-c', careless, 'careless'] })
  await conductor.deploy(serverFolders.echo, { name: 'echo' })
  await conductor.deploy(await program('inside', { 'index.mjs': inside }), { name: 'inside' })
  echo = await conductor.mint('echo')
})
after(async () => {
  await conductor?.[Symbol.asyncDispose]()
  await folder?.[Symbol.asyncDispose]()
})

async function program(name: string, files: Record<string, string>): Promise<string> {
  const path = join(folder.path, name)
  await mkdir(path)
  for (const [file, text] of Object.entries(files)) await writeFile(join(path, file), text)
  return path
}

async function othersAreServed(): Promise<void> {
  assert.ok(isAlive(conductor.pid))
  const session = await openRawSession(echo, 'bystander')
  assert.match(JSON.stringify((await session.call('echo', { message: 'here' })).last), /Echo: here/)
  await session.end()
}

describe('a client', () => {
  test('ends nobody with a value that no text can be made of', async () => {
    const { mcpUrl, token } = await conductor.mint('echo', { subject: 'textless' })
    const _meta = {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientCapabilities': {},
      'io.modelcontextprotocol/logLevel': { toString: 1, valueOf: 1 },
    }
    const headers = { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/list' }
    const listed = await post(mcpUrl, token, { jsonrpc: '2.0', id: 1, method: 'tools/list', params: { _meta } }, { headers })
    assert.equal(listed.status, 200)
    await othersAreServed()
  })

  test('cannot spoil its own recording with a call that is refused', async () => {
    const scoped = await conductor.mint('echo', { tools: ['echo'] })
    const session = await openRawSession(scoped, 'spoiler')
    const refused = await session.call('x'.repeat(2 << 20))
    assert.equal(refused.last?.error?.data?.code, 'capability_insufficient')
    await session.call('echo', { message: 'after' })
    await session.end()
    const { id } = await conductor.closedSession((await conductor.sessionOf('spoiler')).id)
    const replay = await conductor.api('replaySession', { params: { id } })
    assert.equal(replay.state, 'done')
  })

  test('gets nothing of a session through a token of its own for fewer tools', async () => {
    const wide = await conductor.mint('inside', { subject: 'ada' })
    const narrow = await conductor.mint('inside', { subject: 'ada', tools: ['other'] })
    const session = await openRawSession(wide, 'wide')
    const headers = { 'mcp-session-id': session.id, 'mcp-protocol-version': '2025-11-25' }
    const resumed = await post(narrow.mcpUrl, narrow.token, null, {
      method: 'GET',
      headers: { ...headers, 'last-event-id': '1-0' },
      signal: AbortSignal.timeout(5_000),
    })
    assert.equal(resumed.status, 404)
    const ping = { jsonrpc: '2.0', id: 1, method: 'ping' }
    assert.equal((await post(narrow.mcpUrl, narrow.token, ping, { headers })).status, 404)
    await session.end()
  })

  test('without a token keeps no descriptor from those who have one', async () => {
    const { hostname, port } = new URL(echo.mcpUrl)
    const begun = 'POST /v1/sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{'
    // Their own connection first, as it is for who was there before.
    await othersAreServed()
    const sockets: Socket[] = []
    try {
      for (let count = 0; count < 600; count++) {
        const socket = connect(Number(port), hostname)
        socket.on('error', () => {})
        socket.write(begun)
        sockets.push(socket)
      }
      // Not `once`, which an error before the close, such as a reset, would end.
      await new Promise(closed => sockets.at(-1)!.once('close', closed))
      await othersAreServed()
    } finally {
      for (const socket of sockets) socket.destroy()
    }
  })
})

describe('what is deployed', () => {
  const refusal = (source: string) =>
    conductor.deploy(source).then(
      () => 'deployed',
      error => (error instanceof ApiProblem ? error.problem.code : String(error)),
    )

  test('starts no program outside of a sandbox by configuring npm', async () => {
    const mark = join(folder.path, 'started')
    const source = await program('configures', {
      'index.mjs': inside,
      'git.sh': `#!/bin/sh\ntouch ${mark}\nexit 1\n`,
      'package.json': JSON.stringify({ name: 'configures', version: '1.0.0', dependencies: { x: 'git+https://127.0.0.1:1/x' } }),
    })
    await chmod(join(source, 'git.sh'), 0o755)
    await writeFile(join(source, '.npmrc'), `allow-git=all\ngit=${join(source, 'git.sh')}\n`)
    assert.equal(await refusal(source), 'install_failed')
    await assert.rejects(stat(mark), { code: 'ENOENT' })
  })

  test('ends nobody by how it fails its first run', async () => {
    const textless = `throw { toString: 1 }`
    const failing = inside
      .replace('message: String(error)', 'message: error')
      .replace("'2025-11-25', cap", `(() => { ${textless} })(), cap`)
    assert.notEqual(failing, inside)
    assert.equal(await refusal(await program('textless', { 'index.mjs': failing })), 'manifest_failed')
    await othersAreServed()
  })

  test('finds no descriptor of the machine in its sandbox', async () => {
    const session = await openRawSession(await conductor.mint('inside'), 'inside')
    const read = "(() => { const bytes = Buffer.alloc(99); return bytes.toString('utf8', 0, fs.readSync(40, bytes)) })()"
    const answer = JSON.stringify((await session.call('ask', { code: read })).last)
    assert.match(answer, /EBADF/)
    assert.ok(!answer.includes(secret))
    await session.end()
  })

  test('cannot fill the disk: what a flood puts on a recording is bounded in a second', async () => {
    const session = await openRawSession(await conductor.mint('inside'), 'flood')
    const flood = `setImmediate(function go() {
      const line = JSON.stringify({ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: 'x'.repeat(1e6) } }) + '\\n'
      while (process.stdout.write(line));
      process.stdout.once('drain', go)
    })`
    await session.call('ask', { code: flood })
    const { id } = await conductor.sessionOf('flood')
    const path = join(conductor.data, 'recordings', id.slice(4, 8), `${id}.mcrec`)
    const before = (await stat(path)).size
    const beganMs = performance.now()
    await new Promise(resolve => setTimeout(resolve, 1000))
    const perSecond = ((await stat(path)).size - before) / ((performance.now() - beganMs) / 1000)
    assert.ok(perSecond < 120e6, `${Math.round(perSecond / 1e6)} MB in a second`)
    await othersAreServed()
    await session.end()
  })
})
