import { command, type Noun } from '../command.ts'
import { entries } from '../commands.ts'
import { complete } from '../complete.ts'
import type { Context } from '../context.ts'
import { didYouMean } from '../did-you-mean.ts'
import { type Shell, shellCompletion, shells } from '../shell-completion.ts'
import { topics } from '../topics.ts'
import { UsageError } from '../usage-error.ts'

export default command({
  name: 'completion',
  summary: 'Print shell completion',
  description: 'Completes commands, flags, and the names of what runs.',
  arguments: [{ name: 'shell', summary: shells.join(', ') }],
  rest: 'words typed so far',
  flags: { words: { summary: 'Print what may follow the words behind --; the scripts use it' } },
  examples: ['source <(maestro completion bash)', 'source <(maestro completion zsh)', 'maestro completion fish | source'],
  async run(context, { arguments: [shell = ''], flags, rest }) {
    const known = shells.find(name => name === shell)
    if (!known) {
      const near = didYouMean(shell, shells)
      throw new UsageError(
        `There is no completion for ${JSON.stringify(shell)}.`,
        near ? `Did you mean ${near}?` : `There is: ${shells.join(', ')}.`,
      )
    }
    if (!flags.words) return void context.out.line(shellCompletion(known satisfies Shell).trimEnd())
    for (const word of await complete(rest, entries, noun => namesOf(noun, context))) context.out.line(word)
  },
})

/** Names of what runs. While typing nobody wants to hear of errors. */
async function namesOf(noun: Noun, { client, signal }: Context): Promise<string[]> {
  try {
    if (noun === 'topic') return [...entries.map(({ name }) => name.split(' ')[0] ?? ''), ...Object.keys(topics)]
    if (noun === 'deployment') return (await (await client()).call('listDeployments', {}, signal)).items.map(({ name }) => name)
    if (noun === 'secret') return (await (await client()).call('listSecrets', {}, signal)).items.map(({ name }) => name)
    if (noun === 'session')
      return (await (await client()).call('listSessions', { query: { limit: 50 } }, signal)).items.map(({ id }) => id)
  } catch {
    // No Conductor, no names.
  }
  return []
}
