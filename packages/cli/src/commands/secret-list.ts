import { command, jsonFlag } from '../command.ts'
import { ago } from '../format.ts'

export default command({
  name: 'secret list',
  summary: 'List the names of secrets',
  flags: jsonFlag,
  examples: ['maestro secret list'],
  async run({ out, client }, { flags }) {
    const { items } = await (await client()).call('listSecrets', {})
    const now = Date.now()
    out.rows(
      items,
      [
        { title: 'NAME', text: row => row.name },
        { title: 'SET', text: row => ago(row.updatedAt, now) },
      ],
      { json: flags.json, empty: 'There are no secrets. Keep one with `maestro secret set <name>`.' },
    )
  },
})
