import assert from 'node:assert/strict'
import { duplexPair } from 'node:stream'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { quietWorld } from '../testing/specimen.ts'
import { Qmp } from './qmp.ts'

function meet() {
  const [link, far] = duplexPair()
  far.on('error', () => {})
  return { qmp: new Qmp(link, quietWorld()), far }
}

describe('speaking QMP', () => {
  it('finds its answers among greetings and events, in any order', async () => {
    const { qmp, far } = meet()
    far.write('{"QMP":{"version":{}}}\r\n')
    const answers = [qmp.execute('qmp_capabilities'), qmp.execute('query-status')]
    far.write('{"timestamp":{},"event":"STOP"}\r\n{"return":{"status":"paused"},"id":2}\r\n{"return":{},"id":1}\r\n')
    assert.deepEqual(await Promise.all(answers), [{}, { status: 'paused' }])
  })

  it('passes on why QEMU refuses', async () => {
    const { qmp, far } = meet()
    const answer = qmp.execute('cont')
    far.write('{"error":{"class":"GenericError","desc":"no such thing"},"id":1}\n')
    await assert.rejects(answer, /QEMU: no such thing/)
  })

  it('ends with whatever is no QMP, and answers everybody who waits', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.oneof(
            fc.uint8Array({ maxLength: 300 }),
            fc.json().map(text => Buffer.from(`${text}\n`)),
          ),
        ),
        async chunks => {
          const { qmp, far } = meet()
          const answer = qmp.execute('query-status').then(
            () => 'answered',
            () => 'refused',
          )
          for (const chunk of chunks) far.write(chunk)
          far.end()
          assert.match(await answer, /answered|refused/)
        },
      ),
      { numRuns: 100 },
    )
    const { qmp, far } = meet()
    const answer = qmp.execute('query-status')
    far.write('x'.repeat(300 * 1024))
    await assert.rejects(answer, /without end/)
    await assert.rejects(qmp.execute('again'), /without end/)
  })
})
