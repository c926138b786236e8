import { command } from '../command.ts'
import { readSecret } from '../read-secret.ts'

export default command({
  name: 'secret set',
  summary: 'Keep a secret for deployments',
  description:
    'The value is read from standard input, or asked for without showing it; it is never an argument, which other users could see.',
  arguments: [{ name: 'name', summary: 'Name to call it by in --env KEY=secret:<name>', noun: 'secret' }],
  examples: ['maestro secret set my-key < key.txt', 'maestro secret set my-key'],
  async run({ out, client, stdin, signal }, { arguments: [name = ''] }) {
    const conductor = await client()
    const value = await readSecret(stdin, `Value of ${name}: `, signal)
    await conductor.call('putSecret', { params: { name }, body: { value } }, signal)
    out.note(`${name} is kept. Use it with --env KEY=secret:${name}`)
  },
})
