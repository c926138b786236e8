import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import test from 'node:test'
import { animals, misbehaviours, serverFolders } from './index.ts'

const initialize = { jsonrpc: '2.0', id: 1, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {} } }

/** Starts a server, initializes it, lists its tools; null where it ends or stays silent instead. */
async function toolsOf(folder: string, args: readonly string[]): Promise<string[] | null> {
  const { bin } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  const child = spawn(process.execPath, [join(folder, bin), ...args], { stdio: ['pipe', 'pipe', 'ignore'] })
  child.stdin.on('error', () => {})
  const list = { jsonrpc: '2.0', id: 2, method: 'tools/list', params: {} }
  child.stdin.write(`${JSON.stringify(initialize)}\n${JSON.stringify(list)}\n`)
  try {
    for await (const line of createInterface({ input: child.stdout })) {
      const { id, result } = JSON.parse(line)
      if (id === 2) return result.tools.map((tool: { name: string }) => tool.name)
    }
    return null
  } finally {
    child.kill('SIGKILL')
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  }
}

test('every server folder can be deployed: it names one program, and that exists', () => {
  for (const folder of Object.values(serverFolders)) {
    const { bin, name } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
    assert.equal(typeof bin, 'string', name)
    assert.ok(existsSync(join(folder, bin)), name)
  }
})

test('every animal of the zoo initializes and lists its tools', async () => {
  for (const animal of animals) {
    const tools = await toolsOf(serverFolders.zoo, [animal])
    assert.ok(tools && tools.length > 0, animal)
  }
})

test('every misbehaviour but those of the start behaves until it is called', async () => {
  for (const mode of misbehaviours.filter(mode => mode !== 'hang-initialize')) {
    const tools = await toolsOf(serverFolders.misbehaving, [mode])
    assert.deepEqual(tools, mode === 'crash-on-start' ? null : ['misbehave', 'behave'], mode)
  }
})

test('echo and the conformance fixture initialize and list their tools over stdio', async () => {
  assert.deepEqual(await toolsOf(serverFolders.echo, []), ['echo'])
  assert.ok((await toolsOf(serverFolders.conformance, []))?.includes('test_simple_text'))
})
