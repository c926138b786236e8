import { command } from '../command.ts'

export default command({
  name: 'remove',
  summary: 'Remove a deployment; its recordings stay',
  description: 'Its open sessions are closed. The installed release stays too, so deploying it again is quick.',
  arguments: [{ name: 'deployment', summary: 'Name or id', noun: 'deployment' }],
  examples: ['maestro remove files'],
  async run({ out, client, signal }, { arguments: [id = ''] }) {
    await (await client()).call('removeDeployment', { params: { id } }, signal)
    out.note(`${id} is removed.`)
  },
})
