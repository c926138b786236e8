/**
 * Goal: a prepared start is the plain one, faster, or it is not used; what is made once for all sessions holds nothing of one.
 * Method: servers whose start takes long enough to be worth it, each with something in it that a joined file or a heap kept from
 * before could get wrong, prepared and run in real sandboxes beside the plain start.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'
import test, { after, before } from 'node:test'
import { makeId } from '@maestro/contract'
import { serverFolders } from '@maestro/testkit'
import { createFastStarts } from '../../packages/conductor/src/faststart/fast-starts.ts'
import { prepareStart, type Subject } from '../../packages/conductor/src/faststart/prepare-start.ts'
import type { StartRecord } from '../../packages/conductor/src/faststart/start-record.ts'
import { chooseStart } from '../../packages/conductor/src/pool/choose-start.ts'
import { BubblewrapDriver } from '../../packages/conductor/src/sandbox/bubblewrap/bubblewrap.ts'
import { createSessionCa } from '../../packages/conductor/src/sandbox/egress/session-ca.ts'
import { environmentLine } from '../../packages/conductor/src/sandbox/held.ts'
import type { SandboxDriver, SandboxSpec } from '../../packages/conductor/src/sandbox/sandbox.ts'
import { quietWorld } from '../../packages/conductor/src/sandbox/testing/specimen.ts'
import type { Runnable } from '../../packages/conductor/src/session/stages.ts'
import { eventually } from '../e2e/support/eventually.ts'
import { temporaryFolder } from '../e2e/support/temporary-folder.ts'

const MiB = 1024 * 1024
const world = quietWorld()
const limits = { memoryBytesMax: 512 * MiB, pidsMax: 128, cpusMax: 1, diskBytesMax: 256 * MiB, lineBytesMax: 4 * MiB }

const trial = new BubblewrapDriver(world)
const { usable, detail } = await trial.check()
await trial.close()
const skip = usable ? false : detail

let driver: BubblewrapDriver
let root: Awaited<ReturnType<typeof temporaryFolder>>
before(async () => {
  driver = new BubblewrapDriver(world)
  root = await temporaryFolder('fast-start')
})
after(async () => {
  await driver.close()
  await root[Symbol.asyncDispose]()
})

let count = 0
const nextFolder = (name: string) => join(root.path, `${name}-${count++}`)

/** A dependency of many files, so that its start takes a while. */
function slowDependency(more: string): Record<string, string> {
  const names = Array.from({ length: 400 }, (_, index) => `part${index}.js`)
  const body = `exports.make = () => { ${'const x = { a: 1, b: [2, 3] };\n'.replace('x', 'y').repeat(1)} return y }\n${'// filler so that reading it takes something\n'.repeat(40)}`
  return {
    'node_modules/dep/package.json': '{"name":"dep","main":"index.js"}',
    'node_modules/dep/index.js': `${names.map(name => `require('./${name}')`).join('\n')}\n${more}`,
    ...Object.fromEntries(names.map(name => [`node_modules/dep/${name}`, body])),
  }
}

/** A server with one tool, whose text `said` gives. */
const server = (imports: string, said: string, tools = `[{ name: 'say', inputSchema: { type: 'object' } }]`) => `
${imports}
import { createInterface } from 'node:readline'
const answers = {
  initialize: () => ({ protocolVersion: '2025-11-25', serverInfo: { name: 'slow', version: '1' }, capabilities: { tools: {} } }),
  'tools/list': () => ({ tools: ${tools} }),
  'tools/call': async ({ name }) => name === 'say' && ({ content: [{ type: 'text', text: JSON.stringify(await (${said})) }] }),
  ping: () => ({}),
}
createInterface({ input: process.stdin }).on('line', async line => {
  const { id, method, params } = JSON.parse(line)
  if (id === undefined) return
  const result = await answers[method]?.(params)
  const body = result ? { result } : { error: { code: -32601, message: 'Method not found' } }
  console.log(JSON.stringify({ jsonrpc: '2.0', id, ...body }))
})
`

function subjectOf(files: Record<string, string>, changes: Partial<Subject> = {}): Subject {
  const bundle = nextFolder('bundle')
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(bundle, path)), { recursive: true, mode: 0o755 })
    writeFileSync(join(bundle, path), text, { mode: 0o644 })
  }
  const program = { runtime: 'node', entry: 'node_modules/app/main.js' } as const
  return { bundle, program, args: [], env: {}, egress: [], limits, ...changes }
}

const app = (text: string) => ({ 'node_modules/app/package.json': '{"type":"module"}', 'node_modules/app/main.js': text })

async function prepared(subject: Subject, within: SandboxDriver = driver): Promise<{ folder: string; record: StartRecord }> {
  const folder = nextFolder('prepared')
  const record = await prepareStart(
    { world, driver: within, initializeMsMax: 20_000 },
    subject,
    folder,
    new AbortController().signal,
  )
  return { folder, record }
}

/** What the tool says in a fresh sandbox. */
async function say(
  subject: Subject,
  how: Partial<SandboxSpec>,
  late?: Record<string, string>,
  within: SandboxDriver = driver,
): Promise<unknown> {
  const sandbox = await within.start({ id: makeId('sbx', world.now(), world.randomBytes(11)), ...subject, ...how })
  try {
    const said = new Promise<string>((resolve, reject) => {
      sandbox.onFrame(frame => {
        const message = JSON.parse(Buffer.from(frame).toString('utf8'))
        if (message.id === 2) resolve(message.result.content[0].text)
      })
      void sandbox.exited.then(exit => reject(new Error(`${exit.reason}: ${exit.stderrTail}`)))
    })
    if (late) sandbox.send(environmentLine(subject.program, late))
    sandbox.send(Buffer.from('{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}'))
    sandbox.send(Buffer.from('{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"say","arguments":{}}}'))
    return JSON.parse(await said)
  } finally {
    await sandbox.close()
  }
}

test('a server with slow dependencies starts from what was prepared, and finds its own files', { skip }, async t => {
  const subject = subjectOf({
    ...app(
      server(
        `import dep from 'dep'\nimport { readFileSync } from 'node:fs'`,
        `[dep.value, readFileSync(new URL('./README.md', import.meta.url), 'utf8'), process.argv, process.execArgv, process.env.HOME]`,
      ),
    ),
    'node_modules/app/README.md': 'read me',
    ...slowDependency('exports.value = 42'),
  })
  const { folder, record } = await prepared(subject)
  t.diagnostic(JSON.stringify(record))
  assert.notEqual(record.kind, 'plain', JSON.stringify(record))
  assert.ok(record.holds)
  const plain = await say(subject, {})
  for (const kind of record.kinds) {
    assert.deepEqual(await say(subject, { prepared: { folder, kind } }), plain)
    assert.deepEqual(await say(subject, { prepared: { folder, kind }, held: 'loaded' }, {}), plain)
  }
  assert.deepEqual(
    readdirSync(folder).filter(name => /build|new/.test(name)),
    [],
    'nothing is left that only making it took',
  )
})

test('what was prepared has the same way out, and trusts the same, as the plain start', { skip }, async t => {
  const ca = await createSessionCa(world)
  const web = createTlsServer(
    { SNICallback: (name, done) => void ca.contextFor(name).then(context => done(null, context)) },
    (request, response) => response.end(`secure ${request.url}`),
  )
  web.listen(0, '127.0.0.1')
  await once(web, 'listening')
  const { port } = web.address() as AddressInfo
  const reaching = new BubblewrapDriver(world, {
    egress: { allowPrivate: ['127.0.0.1'], trusted: [ca.certificate], resolve: async () => ['127.0.0.1'] },
  })
  try {
    const subject = subjectOf(
      {
        ...app(
          server(
            `import dep from 'dep'\nimport { execFileSync } from 'node:child_process'\nimport { get } from 'node:https'`,
            `Promise.all([
              fetch('https://web.test:${port}/fetch').then(answer => answer.text()),
              new Promise((done, fail) => get('https://web.test:${port}/get', answer => answer.setEncoding('utf8').once('data', done)).on('error', fail)),
              execFileSync('curl', ['-sS', 'https://web.test:${port}/curl'], { encoding: 'utf8' }),
              fetch('https://other.test:${port}/').then(() => 'reached', () => 'refused'),
            ])`,
          ),
        ),
        // What a heap keeps and a joined file has to do again.
        ...slowDependency('let value = 0\nfor (let i = 0; i < 3e8; i++) value += i % 7\nexports.value = value'),
      },
      { egress: [`web.test:${port}`] },
    )
    const { folder, record } = await prepared(subject, reaching)
    t.diagnostic(JSON.stringify(record))
    assert.ok(record.kinds.includes('snapshot'), JSON.stringify(record))
    const recorded = { egressRecord: true }
    const expected = ['secure /fetch', 'secure /get', 'secure /curl', 'refused']
    assert.deepEqual(await say(subject, recorded, undefined, reaching), expected)
    for (const kind of record.kinds) {
      const how = { ...recorded, prepared: { folder, kind } }
      assert.deepEqual(await say(subject, how, undefined, reaching), expected, kind)
      assert.deepEqual(await say(subject, { ...how, held: 'loaded' }, {}, reaching), expected, `${kind}, held`)
    }
  } finally {
    await reaching.close()
    web.close()
  }
})

test('what a dependency reads of the environment while it loads is never what it was before', { skip }, async () => {
  const subject = subjectOf({
    ...app(server(`import dep from 'dep'`, '[dep.mode, process.env.LATE]')),
    ...slowDependency('exports.mode = process.env.MODE ?? "none"'),
  })
  const { folder, record } = await prepared(subject)
  assert.notEqual(record.kind, 'plain', JSON.stringify(record))
  assert.deepEqual(record.reads.ahead, ['MODE'])
  const runs = {
    kind: 'bundle',
    bundle: subject.bundle,
    program: subject.program,
    args: [],
    prepared: { ...record, folder, kinds: ['snapshot', 'one-file'] },
  } as const
  const sayWith = (env: Record<string, string>, secretEnv: string[]) => {
    const { late, ...how } = chooseStart({ env, secretEnv, runs } as never, false)
    return say(subject, how, late ?? undefined)
  }
  assert.deepEqual(await sayWith({ MODE: 'plain' }, []), ['plain', null])
  assert.deepEqual(await sayWith({ MODE: 'secret' }, ['MODE']), ['secret', null])
  assert.deepEqual(await sayWith({ MODE: 'plain', LATE: 'a\nb' }, ['LATE']), ['plain', 'a\nb'])
  if (record.kinds.includes('snapshot')) assert.deepEqual(await sayWith({ LATE: 'x' }, ['LATE']), ['none', 'x'])
})

test('dice thrown while a dependency loads are thrown for each session', { skip }, async () => {
  const subject = subjectOf({
    ...app(server(`import dice from 'dice'\nimport dep from 'dep'`, '[dice.token, dep.value]')),
    'node_modules/dice/package.json': '{"name":"dice","main":"i.cjs"}',
    'node_modules/dice/i.cjs': `exports.token = require('node:crypto').randomBytes(16).toString('hex') + Math.random() + Date.now()`,
    ...slowDependency('exports.value = 1'),
  })
  const { folder, record } = await prepared(subject)
  assert.notEqual(record.kind, 'plain', JSON.stringify(record))
  for (const kind of record.kinds) {
    const [one, other] = [await say(subject, { prepared: { folder, kind } }), await say(subject, { prepared: { folder, kind } })]
    assert.notDeepEqual(one, other, kind)
  }
})

test('a server that behaves differently when it is prepared is started plainly', { skip }, async () => {
  const sly = `new Error('x').stack.includes('/prepared') || process.argv0.includes('prepared')`
  const subject = subjectOf({
    ...app(server(`import 'dep'`, '1', `${sly} ? [{ name: 'steal', inputSchema: {} }] : [{ name: 'say', inputSchema: {} }]`)),
    ...slowDependency(''),
  })
  const { folder, record } = await prepared(subject)
  assert.equal(record.kind, 'plain')
  assert.deepEqual(
    record.refused.map(({ why }) => why.split(':')[0]),
    Array(2).fill('it differs in what it offers'),
  )
  assert.ok(!existsSync(folder), 'nothing of it is kept')
})

test('the tests’ servers are the same when prepared, or said why not', { skip, timeout: 300_000 }, async () => {
  const subjects = [
    ...['still', 'counter', 'paged'].map(animal => ({ bundle: serverFolders.zoo, args: [animal], entry: 'main.js' })),
    ...['behave', 'garble', 'exit-on-ping'].map(name => ({ bundle: serverFolders.misbehaving, args: [name], entry: 'main.js' })),
  ]
  for (const { bundle, args, entry } of subjects) {
    const { record } = await prepared({ bundle, program: { runtime: 'node', entry }, args, env: {}, egress: [], limits })
    for (const { kind, why } of record.refused) assert.match(why, /not faster|as fast/, `${args[0]} ${kind}`)
  }
})

const runnableOf = ({ bundle, program }: Subject) =>
  ({
    name: 'slow',
    release: { id: 'rel', digest: 'sha256:1' },
    runs: { kind: 'bundle', bundle, program, args: [] },
    env: {},
    egress: [],
    limits,
  }) as unknown as Runnable

const startsIn = (folder: string, node: string, on: SandboxDriver = driver) =>
  createFastStarts({
    world,
    driver: on,
    folder,
    enabled: true,
    initializeMsMax: 20_000,
    machine: [node],
    keyedDigest: text => createHash('sha256').update(text).digest('hex'),
    onReady: async () => {},
  })

test('what is being prepared ends with Conductor, and leaves nothing', { skip, timeout: 120_000 }, async () => {
  const subject = subjectOf({ ...app(`import 'dep'\nsetInterval(() => {}, 1000)`), ...slowDependency('') })
  const runnable = runnableOf(subject)
  const folder = nextFolder('all')
  const running = new Set<string>()
  const counted: SandboxDriver = {
    name: driver.name,
    check: () => driver.check(),
    close: () => driver.close(),
    async start(spec) {
      const sandbox = await driver.start(spec)
      running.add(spec.id)
      void sandbox.exited.then(() => running.delete(spec.id))
      return sandbox
    },
  }
  const starts = startsIn(folder, 'v1', counted)
  starts.want([runnable])
  await eventually('a sandbox of it runs', () => running.size > 0, 60_000)
  const begunMs = performance.now()
  await starts.close()
  assert.ok(performance.now() - begunMs < 10_000)
  assert.equal(running.size, 0)
  assert.deepEqual(readdirSync(folder), [])
  assert.equal(starts.view(runnable)?.state, 'preparing', 'the next Conductor tries again')
})

test('another Node makes what was prepared stale, and it is made anew', { skip, timeout: 120_000 }, async () => {
  const subject = subjectOf({ ...app(server(`import 'dep'`, '1')), ...slowDependency('') })
  const runnable = runnableOf(subject)
  const folder = nextFolder('all')
  const prepareOn = async (node: string) => {
    const starts = startsIn(folder, node)
    assert.equal(starts.of(runnable), null)
    assert.equal(starts.view(runnable)?.state, 'preparing')
    starts.want([runnable])
    await eventually('it is prepared', () => starts.of(runnable) !== null, 60_000)
    await starts.close()
    return readdirSync(folder)
  }
  const before = await prepareOn('v1')
  assert.equal(before.length, 1)
  const again = startsIn(folder, 'v1')
  assert.ok(again.of(runnable), 'the same Node finds it')
  await again.close()
  const now = await prepareOn('v2')
  assert.equal(now.length, 1, 'the stale one is gone')
  assert.notDeepEqual(now, before)
})
