import { command } from '../command.ts'

export default command({
  name: 'session close',
  summary: 'End a session now',
  arguments: [{ name: 'session', summary: 'Session id', noun: 'session' }],
  examples: ['maestro session close ses_…'],
  async run({ out, client, signal }, { arguments: [id = ''] }) {
    const session = await (await client()).call('closeSession', { params: { id } }, signal)
    out.note(`${session.id} is ${session.state}: ${session.closeReason ?? 'unknown'}.`)
  },
})
