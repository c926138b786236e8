#!/usr/bin/env node
/**
 * `main.js <mode>`: an MCP server by hand, no dependencies. It initializes and lists its one tool `misbehave`
 * (but for the modes of the start), and does what the mode says when that is called. The tool `behave` answers.
 */
import { spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'

const [mode = 'behave'] = process.argv.slice(2)

const send = message => process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`)
const say = (id, words) => send({ id, result: { content: [{ type: 'text', text: words }] } })
/** Keeps the process alive and its event loop free. */
const forever = () => new Promise(() => setInterval(() => {}, 1 << 30))
/** Writes as fast as the reader takes it, without end. */
async function flood(stream, line) {
  for (;;) if (!stream.write(line)) await new Promise(resolve => stream.once('drain', resolve))
}

const onCall = {
  'crash-on-call': () => {
    console.error('misbehaving: crashing as told')
    process.exit(70)
  },
  'flood-stdout': () =>
    flood(
      process.stdout,
      `${JSON.stringify({ jsonrpc: '2.0', method: 'notifications/flood', params: { x: 'x'.repeat(1000) } })}\n`,
    ),
  'flood-stderr': () => flood(process.stderr, `${'e'.repeat(1000)}\n`),
  garble: id => {
    process.stdout.write('this is not JSON\n{"neither": is this\n\u0000\u0001\n')
    say(id, 'after the garble')
  },
  'fork-bomb': async id => {
    // Each child forks as the parent does; the limit on processes is what ends it.
    const fork =
      'const {spawn}=require("child_process");const go=()=>{for(let i=0;i<4;i++){try{spawn(process.execPath,["-e",process.env.FORK]).on("error",()=>{})}catch{}}};go();setInterval(go,200)'
    for (let index = 0; index < 8; index++) {
      spawn(process.execPath, ['-e', fork], { env: { ...process.env, FORK: fork } }).on('error', error =>
        console.error(`fork refused: ${error.code}`),
      )
    }
    await sleep(3000)
    say(id, 'still here')
  },
  'memory-hog': async () => {
    const held = []
    for (;;) {
      held.push(Buffer.alloc(16 << 20, held.length + 1))
      await sleep(1)
    }
  },
  slow: async id => {
    await sleep(5000)
    say(id, 'after five seconds')
  },
  'never-answer': forever,
  'huge-frame': id => say(id, 'h'.repeat(64 << 20)),
  'ignore-sigterm': id => say(id, 'try to end me'),
  'exit-on-ping': id => say(id, 'nobody pinged'),
  behave: id => say(id, 'behaved'),
}

if (mode === 'crash-on-start') {
  console.error('misbehaving: refusing to start as told')
  process.exit(70)
}
if (mode === 'ignore-sigterm') {
  process.on('SIGTERM', () => {})
  // Closing standard input does not end it either.
  forever()
}
if (mode !== 'hang-initialize' && !(mode in onCall)) {
  console.error(`misbehaving: no mode ${JSON.stringify(mode)}`)
  process.exit(2)
}

const tool = (name, description) => ({ name, description, inputSchema: { type: 'object', properties: {} } })

async function take(line) {
  const { id, method, params } = JSON.parse(line)
  switch (method) {
    case 'initialize':
      if (mode === 'hang-initialize') return
      return send({
        id,
        result: {
          protocolVersion: params.protocolVersion,
          capabilities: { tools: {} },
          serverInfo: { name: 'maestro-testkit-misbehaving', version: '1.0.0' },
        },
      })
    case 'ping':
      if (mode === 'exit-on-ping') process.exit(0)
      return mode === 'hang-initialize' ? undefined : send({ id, result: {} })
    case 'tools/list':
      return send({ id, result: { tools: [tool('misbehave', `Does ${mode}`), tool('behave', 'Answers')] } })
    case 'tools/call':
      return params.name === 'behave' ? say(id, 'behaved') : onCall[mode](id)
    default:
      if (id !== undefined && method !== undefined) send({ id, error: { code: -32601, message: `No method ${method}` } })
  }
}

// Not `readline`: that also splits at U+2028 and U+2029, which JSON may hold.
let rest = ''
process.stdin.setEncoding('utf8').on('data', text => {
  const lines = (rest + text).split('\n')
  rest = lines.pop()
  for (const line of lines) take(line)
})
