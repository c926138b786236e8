import { command } from '../command.ts'
import { entries } from '../commands.ts'
import { didYouMean } from '../did-you-mean.ts'
import { explain, overview } from '../help.ts'
import { topics } from '../topics.ts'
import { UsageError } from '../usage-error.ts'

export default command({
  name: 'help',
  summary: 'Explain a command or a topic',
  arguments: [
    { name: 'topic', summary: 'A command, exit-codes or config', optional: true, noun: 'topic' },
    { name: 'word', summary: 'Second word of the command', optional: true },
  ],
  examples: ['maestro help deploy', 'maestro help session show', 'maestro help exit-codes', 'maestro help config'],
  async run({ out }, { arguments: words }) {
    const name = words.join(' ')
    const print = (text: string) => out.line(text.trimEnd())
    if (name === '') return void print(overview(entries, Object.keys(topics)))
    const topic = Object.hasOwn(topics, name) ? topics[name] : undefined
    if (topic) return void print(await topic())
    const entry = entries.find(candidate => candidate.name === name)
    if (entry) return void print(explain((await entry.load()).default))
    const near = didYouMean(name, [...entries.map(candidate => candidate.name), ...Object.keys(topics)])
    throw new UsageError(
      `There is no help on ${JSON.stringify(name)}.`,
      near ? `Did you mean \`maestro help ${near}\`?` : 'See `maestro help`.',
    )
  },
})
