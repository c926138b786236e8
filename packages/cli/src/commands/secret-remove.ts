import { command } from '../command.ts'

export default command({
  name: 'secret remove',
  summary: 'Forget a secret',
  description: 'Deployments that name it cannot start sessions until it is set again.',
  arguments: [{ name: 'name', summary: 'Name of the secret', noun: 'secret' }],
  examples: ['maestro secret remove my-key'],
  async run({ out, client, signal }, { arguments: [name = ''] }) {
    await (await client()).call('removeSecret', { params: { name } }, signal)
    out.note(`${name} is forgotten.`)
  },
})
