import assert from 'node:assert/strict'
import test from 'node:test'
import type { SandboxId } from '@maestro/contract'
import { createLog } from '../telemetry/logger.ts'
import { realWorld } from '../world.ts'
import { captureManifest } from './capture-manifest.ts'
import { nodeUpstream } from './testing/node-driver.ts'
import { plainServer, scriptedServer } from './testing/servers.ts'

const world = realWorld(createLog(() => 0, []))

function capture(program: string, initializeMsMax = 5_000) {
  let starts = 0
  return {
    starts: () => starts,
    manifest: captureManifest({
      world,
      initializeMsMax,
      secrets: {},
      probePing: true,
      start: async () => {
        starts++
        return nodeUpstream('sbx_00000000000000000001' as SandboxId, ['-e', program.replace(/^#!.*\n/, '')])
      },
    }),
  }
}

const failsWith = (message: RegExp) => (error: Error & { code?: string }) => {
  assert.equal(error.code, 'manifest_failed')
  assert.match(error.message, message)
  return true
}

test('a server is asked for what its capabilities name, and kept as it said it', async () => {
  const { manifest } = capture(
    scriptedServer(`{
      initialize: { protocolVersion: '2025-06-18', serverInfo: { name: 'x', version: '1', extra: [1] }, instructions: 'Be kind.',
        capabilities: { prompts: {}, resources: { subscribe: true } } },
      'prompts/list': { prompts: [{ name: 'p', unknown: { a: 1 } }] },
      'resources/list': { resources: [{ uri: 'x:1', name: 'one' }] },
    }`),
  )
  assert.deepEqual(
    { ...(await manifest), startupMs: 0 },
    {
      protocolVersion: '2025-06-18',
      serverInfo: { name: 'x', version: '1', extra: [1] },
      instructions: 'Be kind.',
      capabilities: { prompts: {}, resources: { subscribe: true } },
      tools: [],
      prompts: [{ name: 'p', unknown: { a: 1 } }],
      resources: [{ uri: 'x:1', name: 'one' }],
      resourceTemplates: [],
      startupMs: 0,
      pingBeforeInitialize: false,
    },
  )
})

test('all pages of a list are read, and one that goes in circles is refused', async () => {
  const pages = (next: string) =>
    scriptedServer(`{
      initialize: { protocolVersion: '2025-11-25', serverInfo: {}, capabilities: { tools: {} } },
      'tools/list': ({ cursor } = {}) => {
        const page = Number(cursor ?? 0)
        return { tools: [{ name: 't' + page }], nextCursor: ${next} }
      },
    }`)
  const three = await capture(pages('page < 2 ? String(page + 1) : undefined')).manifest
  assert.deepEqual(
    three.tools.map(tool => tool.name),
    ['t0', 't1', 't2'],
  )
  await assert.rejects(capture(pages(`'same'`)).manifest, failsWith(/circles/))
  await assert.rejects(capture(pages('String(page + 1)')).manifest, failsWith(/100 pages/))
})

test('a flood of tools is refused', async () => {
  const flood = (tools: string) =>
    scriptedServer(`{
      initialize: { protocolVersion: '2025-11-25', serverInfo: {}, capabilities: { tools: {} } },
      'tools/list': () => ({ tools: ${tools} }),
    }`)
  await assert.rejects(
    capture(flood(`Array.from({ length: 10001 }, (_, n) => ({ name: 't' + n }))`)).manifest,
    failsWith(/10000 items/),
  )
  await assert.rejects(capture(flood(`[{ name: 't', description: 'x'.repeat(9e6) }]`)).manifest, failsWith(/8 MiB/))
})

test('ping before initialize counts only where it is answered and changes nothing', async () => {
  assert.equal((await capture(plainServer).manifest).pingBeforeInitialize, true)
  const dies = plainServer.replace('ping: {},', 'ping: () => process.exit(1),')
  assert.equal((await capture(dies).manifest).pingBeforeInitialize, false)
  const settles = plainServer
    .replace('const answers', 'let pinged = 0\nconst answers')
    .replace('ping: {},', 'ping: () => { pinged++; return {} },')
    .replace(`name: 'plain'`, `get name() { return 'plain' + pinged }`)
  assert.equal((await capture(settles).manifest).pingBeforeInitialize, false)
})

test('a server that speaks only the stateless revision is discovered', async () => {
  const program = scriptedServer(`{
    initialize: { error: { code: -32022, message: 'Unsupported protocol version', data: { supported: ['2026-07-28'] } } },
    'server/discover': ({ _meta }) => ({
      resultType: 'complete', supportedVersions: [_meta['io.modelcontextprotocol/protocolVersion']], capabilities: { tools: {} },
      ttlMs: 0, cacheScope: 'private', _meta: { 'io.modelcontextprotocol/serverInfo': { name: 'modern', version: '2' } } }),
    'tools/list': ({ _meta }) => _meta ? { resultType: 'complete', tools: [{ name: 'm' }], ttlMs: 0, cacheScope: 'private' } : undefined,
  }`)
  const { manifest, starts } = capture(program)
  const said = await manifest
  assert.equal(said.protocolVersion, '2026-07-28')
  assert.deepEqual(said.serverInfo, { name: 'modern', version: '2' })
  assert.deepEqual(
    said.tools.map(tool => tool.name),
    ['m'],
  )
  assert.equal(said.pingBeforeInitialize, false)
  assert.equal(starts(), 2, 'the other era is tried on a process of its own')
})

test('a server that speaks both eras is taken at the one with sessions', async () => {
  const both = plainServer.replace(
    'ping: {},',
    `ping: {}, 'server/discover': { supportedVersions: ['2026-07-28'], capabilities: {} },`,
  )
  assert.equal((await capture(both).manifest).protocolVersion, '2025-11-25')
})

test('a server that ends, says nothing, refuses or garbles is refused with the reason', async () => {
  await assert.rejects(capture(`console.error('no key'); process.exit(2)`).manifest, failsWith(/exit code 2[\s\S]*no key/))
  await assert.rejects(capture(`setInterval(() => {}, 1000)`, 300).manifest, failsWith(/did not answer initialize within 300 ms/))
  await assert.rejects(
    capture(scriptedServer(`{ initialize: { error: { code: -32000, message: 'not today' } } }`)).manifest,
    failsWith(/-32000: not today/),
  )
  await assert.rejects(capture(scriptedServer('{ initialize: 5 }')).manifest, failsWith(/no result object/))
  await assert.rejects(
    capture(scriptedServer(`{ initialize: { protocolVersion: '2025-11-25', capabilities: { tools: {} } }, 'tools/list': {} }`))
      .manifest,
    failsWith(/no list of tools/),
  )
})

test('a server may ask for a ping and nothing else while it is asked', async () => {
  const program = `
    const say = message => process.stdout.write(JSON.stringify({ jsonrpc: '2.0', ...message }) + '\\n')
    const heard = []
    require('node:readline').createInterface({ input: process.stdin }).on('line', line => {
      const message = JSON.parse(line)
      if (message.method === 'initialize') {
        say({ id: 'a', method: 'ping' })
        say({ id: 'b', method: 'roots/list' })
        say({ method: 'notifications/message', params: {} })
        globalThis.asked = message.id
      } else if (message.method === undefined) {
        heard.push(message.id + ':' + (message.error ? message.error.code : 'ok'))
        if (heard.length === 2) say({ id: asked, result: { protocolVersion: '2025-11-25', serverInfo: { heard }, capabilities: {} } })
      }
    })`
  assert.deepEqual((await capture(program).manifest).serverInfo, { heard: ['a:ok', 'b:-32601'] })
})

test('an error whose code and message cannot become text is a failed first run, and no failure of ours', async () => {
  const textless = '{ toString: 1, valueOf: 1 }'
  const program = scriptedServer(`{ initialize: { error: { code: ${textless}, message: ${textless} } } }`)
  await assert.rejects(capture(program).manifest, failsWith(/answered initialize with error/))
})
