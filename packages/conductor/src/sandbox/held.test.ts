import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { it } from 'node:test'
import { environmentLine, heldLine, holdInShell } from './held.ts'

const printer = 'const { A, B, C } = process.env; console.log(JSON.stringify([A, B, C])); process.stdin.pipe(process.stdout)'

it('a program held in a shell gets any value as it is, and every byte behind the line', () => {
  const env = { A: 'line\nbreak\n\n', B: `'"$(touch /tmp/never) \`x\` \\0101 %b ä😀`, C: '9'.repeat(65_536) }
  const line = environmentLine({ runtime: 'native', entry: '' }, env)
  assert.ok(!line.includes(10), 'it is one line')
  const [shell, ...args] = [...holdInShell, process.execPath, '-e', printer]
  const { stdout } = spawnSync(shell!, args, { input: Buffer.concat([line, Buffer.from('\n{"first":1}\nrest')]), env: {} })
  assert.equal(String(stdout), `${heldLine}\n${JSON.stringify(Object.values(env))}\n{"first":1}\nrest`)
})

it('a program held in a shell ends with its input', () => {
  const [shell, ...args] = [...holdInShell, '/bin/echo', 'ran']
  const { stdout, status } = spawnSync(shell!, args, { input: '' })
  assert.deepEqual([String(stdout), status], [`${heldLine}\n`, 0])
})

it('a value that no environment can hold is refused', () => {
  for (const runtime of ['node', 'python', 'native'] as const) {
    assert.throws(() => environmentLine({ runtime, entry: '' }, { KEY: 'a\0b' }), { code: 'sandbox_start_failed' })
  }
})

it('a name that is no name of a variable is not run as code', () => {
  assert.equal(environmentLine({ runtime: 'python', entry: '' }, { 'A;touch /tmp/never;': 'x' }).length, 0)
})
