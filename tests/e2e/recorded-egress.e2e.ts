/**
 * Goal: what a server says to the hosts it may reach is on the tape of its session, whatever way it was started, and no secret is.
 * Method: a server in a folder, deployed by the command line, calls an https server of this test by an address of this machine.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { type AddressInfo, createServer as createDoor, type Server } from 'node:net'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import test, { after, before } from 'node:test'
import { TLSSocket } from 'node:tls'
import { gzipSync } from 'node:zlib'
import type { EgressExchange } from '@maestro/contract'
import { readRecording } from '@maestro/logic'
import { createSessionCa } from '../../packages/conductor/src/sandbox/egress/session-ca.ts'
import { quietWorld } from '../../packages/conductor/src/sandbox/testing/specimen.ts'
import { tarOf } from '../runtime/support/tar.ts'
import { type RunningConductor, startConductor } from './support/conductor.ts'
import { eventually } from './support/eventually.ts'
import { maestro } from './support/maestro.ts'
import { openRawSession } from './support/raw-session.ts'
import { temporaryFolder } from './support/temporary-folder.ts'

const ownAddress =
  Object.values(networkInterfaces())
    .flat()
    .find(found => found?.family === 'IPv4' && !found.internal)?.address ?? '127.0.0.1'

const key = 'sk-live-0123456789abcdef'

/** Its tool `ask` says what the other side answered. Its dependency takes long to load, so that a heap with it loaded is worth having. */
const server = `
import { sum } from 'slow'
import { createInterface } from 'node:readline'
const tools = [{ name: 'ask', inputSchema: { type: 'object', properties: { url: { type: 'string' } } } }]
const ask = async ({ url }) => {
  const body = JSON.stringify({ question: 'how many', token: 'named-like-a-secret', inner: JSON.stringify({ password: 'in-a-string' }) })
  const headers = { authorization: 'Bearer ' + process.env.API_KEY, 'content-type': 'application/json', 'x-echo': process.env.API_KEY }
  const answer = await fetch(url, { method: 'POST', headers, body })
  return { content: [{ type: 'text', text: answer.status + ' ' + (await answer.text()) }] }
}
const answers = {
  initialize: () => ({ protocolVersion: '2025-11-25', serverInfo: { name: 'asker', version: '1' }, capabilities: { tools: {} } }),
  'tools/list': () => ({ tools }),
  'tools/call': ({ arguments: args }) => ask(args).catch(error => ({ isError: true, content: [{ type: 'text', text: String(error.cause ?? error) }] })),
  ping: () => ({}),
}
createInterface({ input: process.stdin }).on('line', async line => {
  const { id, method, params } = JSON.parse(line)
  if (id === undefined) return
  const result = await answers[method]?.(params)
  console.log(JSON.stringify({ jsonrpc: '2.0', id, ...(result ? { result } : { error: { code: -32601, message: 'Method not found' } }) }))
})
`

let conductor: RunningConductor
let folder: Awaited<ReturnType<typeof temporaryFolder>>
let origin = ''
const asked: { authorization: string | undefined; body: string }[] = []
const web = createServer(async (request, response) => {
  let body = ''
  for await (const chunk of request) body += chunk
  asked.push({ authorization: request.headers.authorization, body })
  response.writeHead(request.url?.startsWith('/orders?') ? 201 : 404, { 'content-type': 'application/json' })
  response.end(JSON.stringify({ orders: 3, said: request.headers['x-echo'] }))
})
let door: Server

before(async () => {
  folder = await temporaryFolder('recorded-egress')
  const ca = await createSessionCa(quietWorld())
  const certificate = join(folder.path, 'ca.pem')
  writeFileSync(certificate, ca.certificate)
  const secureContext = await ca.contextFor(ownAddress)
  door = createDoor(socket => web.emit('connection', new TLSSocket(socket, { isServer: true, secureContext })))
  door.listen(0, ownAddress)
  await once(door, 'listening')
  origin = `${ownAddress}:${(door.address() as AddressInfo).port}`
  conductor = await startConductor({ env: { MAESTRO_EGRESS_PRIVATE: ownAddress, NODE_EXTRA_CA_CERTS: certificate } })
})
after(async () => {
  await conductor?.[Symbol.asyncDispose]()
  web.closeAllConnections()
  door?.close()
  await folder?.[Symbol.asyncDispose]()
})

/** The exchanges on the tape of a session in which the tool was called once, and whether its sandbox was warm. */
async function askedIn(client: string) {
  const session = await openRawSession(await conductor.mint('asker'), client)
  const { last } = await session.call('ask', { url: `https://${origin}/orders?token=in-the-query` })
  assert.match(JSON.stringify(last?.result), /201 /, JSON.stringify(last))
  await session.end()
  const { id, warm } = await conductor.closedSession((await conductor.sessionOf(client)).id)
  const bytes = (await conductor.api('getRecording', { params: { id } })) as Buffer
  const exchanges = readRecording(bytes).records.flatMap(record =>
    record.kind === 'event' && record.event.name === 'egress.exchange' ? [record.event as EgressExchange] : [],
  )
  return { exchanges, warm }
}

function assertTold([exchange, ...more]: EgressExchange[]): void {
  assert.deepEqual(more, [])
  const { method, url, status } = exchange!
  assert.deepEqual([method, url, status], ['POST', `https://${origin}/orders?token=[masked]`, 201])
  assert.match(exchange!.requestBody.text ?? '', /"question":"how many"/)
  assert.match(exchange!.responseBody.text ?? '', /"orders":3,"said":"\[API_KEY\]"/)
  const told = JSON.stringify(exchange)
  for (const secret of [key, 'named-like-a-secret', 'in-a-string']) assert.ok(!told.includes(secret), told)
}

test('with --record-egress the exchanges of a session are on its tape, and no secret is', { timeout: 120_000 }, async () => {
  const source = join(folder.path, 'asker')
  mkdirSync(source)
  const declared = { name: 'asker', version: '1.0.0', type: 'module', main: 'main.js', dependencies: { slow: 'file:slow.tgz' } }
  writeFileSync(join(source, 'package.json'), JSON.stringify(declared))
  writeFileSync(join(source, 'main.js'), server)
  const slow = {
    'package/package.json': '{"name":"slow","version":"1.0.0","main":"index.js"}',
    'package/index.js': 'let sum = 0\nfor (let i = 0; i < 3e8; i++) sum += i % 7\nexports.sum = sum\n',
  }
  writeFileSync(join(source, 'slow.tgz'), gzipSync(tarOf(slow)))
  await conductor.api('putSecret', { params: { name: 'asker-key' }, body: { value: key } })
  const options = ['--name', 'asker', '--env', 'API_KEY=secret:asker-key', '--egress', origin, '--record-egress']
  const deployed = await maestro(conductor.data, ['deploy', source, ...options])
  assert.equal(deployed.code, 0, deployed.stderr)
  const { exchanges } = await askedIn('recorded')
  assertTold(exchanges)
  assert.equal(asked[0]?.authorization, `Bearer ${key}`, 'outside it is what the server sent')
  assert.match(asked[0]?.body ?? '', /named-like-a-secret.*in-a-string/)
})

test('a heap that was loaded before has the same way out', { timeout: 240_000 }, async t => {
  const { start } = await eventually(
    'its faster start is prepared',
    async () => {
      const deployment = await conductor.api('getDeployment', { params: { id: 'asker' } })
      return deployment.start?.state === 'ready' && deployment
    },
    200_000,
  )
  t.diagnostic(JSON.stringify(start))
  assert.equal(start?.kind, 'snapshot', JSON.stringify(start))
  await eventually('one of it is warm', async () => {
    const line = (await conductor.api('getPool')).deployments.find(({ name }) => name === 'asker')
    return line !== undefined && line.warm > 0 && line.starting === 0
  })
  const { exchanges, warm } = await askedIn('from-a-heap')
  assert.equal(warm, true)
  assertTold(exchanges)
})
