import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import test from 'node:test'

test('what was left open by whoever started us reaches no program of ours', { skip: !existsSync('/proc/self/fdinfo') }, () => {
  const module = JSON.stringify(new URL('./inherited-descriptors.ts', import.meta.url).href)
  const program = `
    const { closeInheritedDescriptors } = await import(${module})
    const { execFileSync } = await import('node:child_process')
    const passed = () => execFileSync('ls', ['/proc/self/fd'], { encoding: 'utf8' }).split('\\n').includes('40')
    const before = passed()
    const closed = closeInheritedDescriptors()
    console.log(JSON.stringify({ before, closed: closed.includes(40), after: passed(), standard: closed.some(fd => fd < 3) }))`
  const { stdout, stderr } = spawnSync(
    'bash',
    ['-c', 'exec 40</dev/null; exec "$0" --input-type=module -e "$1"', process.execPath, program],
    {
      encoding: 'utf8',
    },
  )
  assert.deepEqual(JSON.parse(stdout || 'null'), { before: true, closed: true, after: false, standard: false }, stderr)
})
