import assert from 'node:assert/strict'
import { it } from 'node:test'
import { choosePython } from '@maestro/conductor'
import { checkPython } from './check-python.ts'

const python = { program: '/usr/bin/python3.12', prefix: '/usr', version: '3.12.1', tag: '', pip: '24.0' }

it('says which Python runs servers, and what is missing to install them', async () => {
  assert.deepEqual(await checkPython(async () => python), {
    name: 'python',
    state: 'ok',
    detail: '3.12.1 at /usr/bin/python3.12, pip 24.0',
    mend: null,
  })
  const bare = await checkPython(async () => ({ ...python, pip: null }))
  assert.equal(bare.state, 'weak')
  assert.match(bare.detail, /without pip 22\.2 or newer/)
  assert.match(bare.mend ?? '', /apt-get install python3 python3-pip/)
})

it('says that there is none, and how to get one, on a machine that is good for everything else', async () => {
  const none = await checkPython(() => choosePython([]))
  assert.equal(none.state, 'weak')
  assert.match(none.detail, /need Python 3\.10 or newer, and this machine has none/)
  assert.match(none.mend ?? '', /apt-get install python3/)
})
