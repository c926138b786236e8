'use strict'
/**
 * Runs inside a sandbox and makes there what the code of a release has to run for. Arguments: the program's file, a step, the program's
 * own arguments. The results go out as messages on standard output, files in pieces.
 *
 * `record` runs the joined program once, as a client would, to learn which dependencies it loads and to keep the code V8 compiled.
 * `snapshot` loads those dependencies and keeps the heap, without the ones a snapshot cannot hold.
 */
const { spawn } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')

const pieceBytes = 512 * 1024
const answerMsMax = 20_000
const snapshotMsMax = 60_000
const attemptsMax = 6

const [, self, file, step, ...args] = process.argv
const folder = path.dirname(self)

const say = message => fs.writeSync(1, `${JSON.stringify(message)}\n`)

function sayFile(name, bytes) {
  for (let start = 0; start < bytes.length; start += pieceBytes) {
    say({ file: name, data: bytes.subarray(start, start + pieceBytes).toString('base64') })
  }
}

function record() {
  const child = spawn(process.execPath, [...process.execArgv, path.join(folder, 'start.cjs'), 'record', file, ...args], {
    stdio: ['pipe', 'pipe', 'ignore', 'pipe'],
  })
  const reported = []
  const asked = new Set()
  let rest = ''
  const send = message => child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`)
  const askAll = () => {
    send({ method: 'notifications/initialized' })
    for (const [index, method] of ['tools/list', 'prompts/list', 'resources/list', 'resources/templates/list'].entries()) {
      asked.add(index + 1)
      send({ id: index + 1, method, params: {} })
    }
  }
  const finish = () => child.stdio[3].write('!')
  // A server that answers some of it, or none, still has loaded what it needs.
  const late = setTimeout(finish, answerMsMax)
  child.stdin.on('error', () => {})
  child.stdio[3].on('error', () => {})
  child.stdio[3].on('data', chunk => reported.push(chunk))
  child.stdio[3].on('end', () => {
    clearTimeout(late)
    child.kill('SIGKILL')
    const bytes = Buffer.concat(reported)
    const end = bytes.indexOf(10)
    if (end < 0) say({ failed: 'it ended before it had answered' })
    else {
      sayFile('program.cache', bytes.subarray(end + 1))
      say({ done: JSON.parse(bytes.subarray(0, end).toString('utf8')) })
    }
    process.exitCode = 0
  })
  child.stdout.on('data', chunk => {
    rest += chunk
    const lines = rest.split('\n')
    rest = lines.pop()
    for (const line of lines) {
      let id
      try {
        id = JSON.parse(line).id
      } catch {
        continue
      }
      if (id === 0) askAll()
      else if (asked.delete(id) && asked.size === 0) finish()
    }
  })
  const clientInfo = { name: 'maestro-conductor', version: '0' }
  send({ id: 0, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo } })
}

async function snapshot() {
  let list = JSON.parse(fs.readFileSync(path.join(folder, 'program.json'), 'utf8')).ahead
  const blob = path.join(os.tmpdir(), 'start.blob')
  const left = {}
  const reads = {}
  for (let attempt = 1; attempt <= attemptsMax; attempt++) {
    const { code, signal, report, stderr } = await buildSnapshot(blob, list)
    Object.assign(reads, report?.reads)
    const offences = report?.offences ?? {}
    if (code === 0 && report && Object.keys(offences).length === 0) {
      sayFile('start.blob', fs.readFileSync(blob))
      say({ done: { loaded: list, left, reads } })
      return
    }
    if (Object.keys(offences).length === 0) {
      const why = /Fatal error[\s\S]*?\n#\s*(\S[^\n]*)/.exec(stderr)?.[1] ?? stderr.trim().split('\n').at(-1)
      say({ failed: `the snapshot could not be built: ${why || signal || `exit code ${code}`}`.slice(0, 300), reads })
      return
    }
    Object.assign(left, offences)
    list = list.filter(name => !(name in offences))
  }
  say({ failed: 'more and more of its dependencies cannot be held', reads })
}

function buildSnapshot(blob, list) {
  return new Promise(resolve => {
    const child = spawn(
      process.execPath,
      [
        ...process.execArgv,
        '--snapshot-blob',
        blob,
        '--build-snapshot',
        path.join(folder, 'snapshot.cjs'),
        folder,
        file,
        JSON.stringify(list),
      ],
      { stdio: ['ignore', 'ignore', 'pipe', 'pipe'] },
    )
    let stderr = ''
    let report = ''
    const late = setTimeout(() => child.kill('SIGKILL'), snapshotMsMax)
    child.stderr.on('data', chunk => {
      stderr = (stderr + chunk).slice(-16_384)
    })
    child.stdio[3].on('data', chunk => {
      report += chunk
    })
    child.on('close', (code, signal) => {
      clearTimeout(late)
      let parsed = null
      try {
        parsed = JSON.parse(report)
      } catch {
        // It ended before it could say.
      }
      resolve({ code, signal, stderr, report: parsed })
    })
  })
}

if (step === 'record') record()
else void snapshot()
