/**
 * Goal: the connectors most people want first install and start sandboxed, offer their tools, and reach their allow-listed hosts only.
 * Method: each as its guide (docs/guides/launch-connectors.md) deploys it, with a key that is none. What the proxy judged is read from
 * the tape: a host on the list passes its judgement and is connected to where there is a network, one that is not is denied. The browser
 * drives Debian's Chromium inside of its sandbox, against a page of this machine.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { networkInterfaces } from 'node:os'
import test, { after, before } from 'node:test'
import { inflateSync } from 'node:zlib'
import type { DeployRequest } from '@maestro/contract'
import { readRecording } from '@maestro/logic'
import { withoutBrowser } from './support/browser.ts'
import { type RunningConductor, startConductor } from './support/conductor.ts'
import { openRawSession } from './support/raw-session.ts'

interface Connector extends Omit<DeployRequest, 'source'> {
  name: string
  source: string
  host: string
  /** A tool that lists, and one that asks the service. */
  tools: string[]
  call: [tool: string, args: Record<string, unknown>]
}

const key = (name: string) => ({ [name]: { secret: 'connector-key' } })

const connectors: Connector[] = [
  {
    name: 'github',
    source: '@modelcontextprotocol/server-github@2025.4.8',
    env: key('GITHUB_PERSONAL_ACCESS_TOKEN'),
    host: 'api.github.com',
    tools: ['search_repositories', 'create_issue', 'get_file_contents'],
    call: ['search_repositories', { query: 'mcp' }],
  },
  {
    name: 'exa',
    source: 'exa-mcp-server@3.4.1',
    env: key('EXA_API_KEY'),
    host: 'api.exa.ai',
    tools: ['web_search_exa', 'web_fetch_exa'],
    call: ['web_search_exa', { query: 'mcp' }],
  },
  {
    name: 'cloudflare',
    source: '@cloudflare/mcp-server-cloudflare@0.2.0',
    env: key('CLOUDFLARE_API_TOKEN'),
    args: ['run', '0123456789abcdef0123456789abcdef'],
    host: 'api.cloudflare.com',
    tools: ['kv_list', 'worker_list', 'r2_list_buckets', 'd1_query'],
    call: ['worker_list', {}],
  },
  {
    name: 'firecrawl',
    source: 'firecrawl-mcp@3.26.0',
    env: key('FIRECRAWL_API_KEY'),
    host: 'api.firecrawl.dev',
    tools: ['firecrawl_scrape', 'firecrawl_search', 'firecrawl_crawl'],
    call: ['firecrawl_scrape', { url: 'https://example.com' }],
  },
]

/** An address of this machine that is not its loopback: browsers and proxies leave that one out. */
const ownAddress =
  Object.values(networkInterfaces())
    .flat()
    .find(found => found?.family === 'IPv4' && !found.internal)?.address ?? '127.0.0.1'

let conductor: RunningConductor
before(async () => {
  conductor = await startConductor({ env: { MAESTRO_WARM: '0', MAESTRO_EGRESS_PRIVATE: ownAddress } })
  await conductor.api('putSecret', { params: { name: 'connector-key' }, body: { value: 'no-key-at-all' } })
})
after(() => conductor?.[Symbol.asyncDispose]())

/** Calls the tools one after the other in a session of their own. Returns their answers and what the proxy was asked. */
async function play(deployment: string, calls: readonly [string, Record<string, unknown>][]) {
  const session = await openRawSession(await conductor.mint(deployment), `connector-${deployment}`)
  const answers = []
  for (const [tool, args] of calls) answers.push((await session.call(tool, args)).last)
  await session.end()
  const { id } = await conductor.closedSession((await conductor.sessionOf(`connector-${deployment}`)).id)
  const tape = readRecording((await conductor.api('getRecording', { params: { id } })) as Buffer)
  const asked = tape.records.flatMap(record => (record.kind === 'event' && record.event.name === 'egress' ? [record.event] : []))
  return { answers, asked }
}

for (const { name, source, host, tools, call, ...options } of connectors) {
  test(`${source} starts sandboxed, lists its tools and reaches ${host} only`, { timeout: 300_000 }, async t => {
    const deployment = await conductor.deploy(source, { name, egress: [host], ...options })
    const { manifest } = deployment.release
    const listed = manifest.tools.map(tool => tool.name)
    for (const tool of tools) assert.ok(listed.includes(tool), `${tool} is not among ${listed.join(', ')}`)
    t.diagnostic(`start of ${name}: ${Math.round(manifest.startupMs)} ms, ${listed.length} tools`)
    assert.ok(!JSON.stringify(await conductor.api('getDeployment', { params: { id: name } })).includes('no-key-at-all'))

    const allowed = await play(name, [call])
    assert.ok(allowed.asked.length > 0, `it asked for no connection: ${JSON.stringify(allowed.answers)}`)
    // Some ask for hosts of their makers' statistics too; whatever is not on the list is denied.
    const [passed, denied] = [false, true].map(isDenied =>
      allowed.asked.filter(({ outcome }) => outcome.startsWith('denied') === isDenied),
    ) as [typeof allowed.asked, typeof allowed.asked]
    assert.ok(passed.length > 0, JSON.stringify(allowed.asked))
    assert.ok(
      passed.every(event => event.host === host && event.port === 443),
      JSON.stringify(passed),
    )
    const others = [...new Set(denied.map(event => event.host))].join(', ')
    t.diagnostic(`${name} with ${host} allowed: ${passed[0]!.outcome}; denied besides: ${others || 'none was asked for'}`)

    // The same server where only another host is allowed.
    await conductor.deploy(source, { name: `${name}-shut`, egress: ['elsewhere.example.com'], ...options })
    const shut = await play(`${name}-shut`, [call])
    assert.ok(shut.asked.length > 0)
    const outcomes = shut.asked.map(({ outcome }) => outcome)
    assert.ok(outcomes.includes('denied: not on the allow-list'))
    assert.ok(
      outcomes.every(outcome => outcome.startsWith('denied')),
      outcomes.join(', '),
    )
  })
}

test('@playwright/mcp drives Chromium inside of the sandbox, and its screenshot is one of the page', {
  skip: withoutBrowser,
  timeout: 300_000,
}, async t => {
  const requests: string[] = []
  await using page = createServer((request, response) => {
    requests.push(request.url ?? '')
    response.setHeader('content-type', 'text/html; charset=utf-8')
    response.end(
      '<!doctype html><title>Orders</title><body style="margin:0;background:#0a7d32"><h1>Three orders are open</h1><button>Ship</button>',
    )
  })
  page.listen(0, '0.0.0.0')
  await once(page, 'listening')
  const origin = `${ownAddress}:${(page.address() as AddressInfo).port}`

  const { release } = await conductor.deploy('@playwright/mcp@0.0.83', {
    name: 'browser',
    args: ['--headless', '--isolated', '--no-sandbox', '--executable-path', '/usr/bin/chromium'],
    egress: [origin],
    limits: { memoryMiB: 1536, pids: 512, diskMiB: 512 },
  })
  t.diagnostic(`start of playwright: ${Math.round(release.manifest.startupMs)} ms, ${release.manifest.tools.length} tools`)
  const { answers, asked } = await play('browser', [
    ['browser_navigate', { url: `http://${origin}/orders` }],
    ['browser_snapshot', {}],
    ['browser_take_screenshot', {}],
    ['browser_navigate', { url: `http://${ownAddress}:8089/` }],
  ])
  const said = answers.map(answer => JSON.stringify(answer?.result))
  assert.match(said[0]!, /Page Title: Orders/)
  assert.match(said[1]!, /heading \\"Three orders are open\\"/)
  assert.match(said[1]!, /button \\"Ship\\"/)
  assert.ok(requests.includes('/orders'))
  const { content } = answers[2]!.result as { content: { type: string; mimeType?: string; data?: string }[] }
  const image = content.find(({ type }) => type === 'image')
  assert.equal(image?.mimeType, 'image/png')
  const { width, height, pixel } = readPng(Buffer.from(image!.data!, 'base64'))
  assert.ok(width >= 800 && height >= 600)
  assert.deepEqual(pixel(width - 1, height - 1), [0x0a, 0x7d, 0x32], 'the page’s own colour')
  assert.deepEqual(
    asked
      .filter(({ host, port }) => `${host}:${port}` === origin)
      .map(({ outcome }) => outcome.split(':')[0])
      .filter(outcome => outcome === 'denied'),
    [],
  )
  assert.ok(asked.some(({ port, outcome }) => port === 8089 && outcome === 'denied: not on the allow-list'))
})

test('no deployment gets more than the operator allows', async () => {
  await assert.rejects(
    conductor.deploy('@playwright/mcp@0.0.83', { limits: { memoryMiB: 60_000 } }),
    /request_malformed.*MAESTRO_SANDBOX_MEMORY_MIB_MAX/,
  )
})

/** Size and pixels of a PNG of eight bits a channel, without interlace. */
function readPng(png: Buffer): { width: number; height: number; pixel(x: number, y: number): number[] } {
  assert.equal(png.subarray(1, 4).toString(), 'PNG')
  const width = png.readUInt32BE(16)
  const height = png.readUInt32BE(20)
  assert.equal(png[24], 8)
  const channels = png[25] === 6 ? 4 : 3
  const parts: Buffer[] = []
  for (let at = 8; at < png.length; at += 12 + png.readUInt32BE(at)) {
    if (png.toString('latin1', at + 4, at + 8) === 'IDAT') parts.push(png.subarray(at + 8, at + 8 + png.readUInt32BE(at)))
  }
  const raw = inflateSync(Buffer.concat(parts))
  const stride = width * channels
  const rows: Buffer[] = []
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (stride + 1)]!
    const row = Buffer.from(raw.subarray(y * (stride + 1) + 1, (y + 1) * (stride + 1)))
    const above = rows[y - 1] ?? Buffer.alloc(stride)
    for (let x = 0; x < stride; x++) {
      const [left, up, corner] = [x < channels ? 0 : row[x - channels]!, above[x]!, x < channels ? 0 : above[x - channels]!]
      row[x] = (row[x]! + [0, left, up, (left + up) >> 1, paeth(left, up, corner)][filter]!) & 0xff
    }
    rows.push(row)
  }
  return { width, height, pixel: (x, y) => [...rows[y]!.subarray(x * channels, x * channels + 3)] }
}

function paeth(left: number, up: number, corner: number): number {
  const guess = left + up - corner
  const [a, b, c] = [Math.abs(guess - left), Math.abs(guess - up), Math.abs(guess - corner)]
  return a <= b && a <= c ? left : b <= c ? up : corner
}
