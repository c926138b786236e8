import { setTimeout as sleep } from 'node:timers/promises'
import { ConductorError } from '@maestro/contract'
import { command } from '../command.ts'
import { withProgress } from '../progress.ts'

const stopMsMax = 30_000

export default command({
  name: 'stop',
  summary: 'Drain and end the running Conductor',
  description: 'Open calls may end first; every session is closed and its recording sealed. Comes back when the process is gone.',
  examples: ['maestro stop'],
  async run({ out, client, signal }) {
    const conductor = await client()
    const { pid } = conductor.at
    await conductor.call('stop', {}, signal)
    await withProgress(out, 'Stopping', async () => {
      const until = Date.now() + stopMsMax
      while (isAlive(pid)) {
        if (Date.now() > until)
          throw new ConductorError('conductor_draining', `Process ${pid} still runs after ${stopMsMax / 1000} s.`, { pid })
        await sleep(50, undefined, { signal })
      }
    })
    out.note('Conductor has ended.')
  },
})

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
