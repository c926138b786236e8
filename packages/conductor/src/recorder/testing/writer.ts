/**
 * A process that records until it is killed or its disk refuses. Arguments: folder, session id.
 * Says on standard output: how many bytes it has handed to the system, one number a line; then `failed <code>`.
 */
import { writeSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import type { SessionId } from '@maestro/contract'
import { realWorld } from '../../world.ts'
import { createRecorder } from '../recorder.ts'
import { headerFor } from './header.ts'
import { quietLog } from './quiet-log.ts'

const [folder = '', session = ''] = process.argv.slice(2)
const recorder = createRecorder({ folder, world: realWorld(quietLog), version: 'test' })
const tape = recorder.open(headerFor(session as SessionId))
let failed = false
// Where files may grow only so far (`ulimit -f`), the system kills who writes beyond, unless it listens.
process.on('SIGXFSZ', () => {})
tape.onFailure(cause => {
  failed = true
  writeSync(1, `failed ${(cause as NodeJS.ErrnoException).code}\n`)
})

for (let turn = 0; !failed; turn++) {
  for (let frame = 0; frame < 5; frame++) {
    const text = JSON.stringify({
      jsonrpc: '2.0',
      method: 'notifications/message',
      params: { turn, frame, pad: 'x'.repeat((turn * 37) % 700) },
    })
    tape.frame('outward', Buffer.from(text))
  }
  await setImmediate()
  writeSync(1, `${recorder.view().bytesWritten}\n`)
}
await tape.seal('recording_unavailable')
