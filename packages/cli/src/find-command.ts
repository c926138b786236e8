import { type Entry, entries } from './commands.ts'
import { didYouMean } from './did-you-mean.ts'
import { UsageError } from './usage-error.ts'

/** The command the words begin with, and the words behind it. Throws `UsageError` with the nearest command. */
export function findCommand(words: readonly string[], known: readonly Entry[] = entries): { entry: Entry; rest: string[] } {
  for (const length of [2, 1]) {
    const name = words.slice(0, length).join(' ')
    const entry = words.length >= length ? known.find(candidate => candidate.name === name) : undefined
    if (entry) return { entry, rest: words.slice(length) }
  }
  const [first = '', second] = words
  const under = known.filter(({ name }) => name.startsWith(`${first} `))
  if (under.length > 0) {
    const names = under.map(({ name }) => name)
    const near = second === undefined || second.startsWith('-') ? null : didYouMean(`${first} ${second}`, names)
    const what =
      second === undefined || second.startsWith('-')
        ? `\`maestro ${first}\` needs one more word.`
        : `There is no command \`maestro ${first} ${second}\`.`
    throw new UsageError(what, near ? `Did you mean \`maestro ${near}\`?` : `There are: ${names.join(', ')}.`)
  }
  const near = didYouMean(
    first,
    known.map(({ name }) => name),
  )
  throw new UsageError(
    `There is no command \`maestro ${first}\`.`,
    near ? `Did you mean \`maestro ${near}\`?` : 'See `maestro help`.',
  )
}

/** `maestro --data x stop` is `maestro stop --data x`: the flags every command knows may come first. */
export function globalsLast(words: readonly string[]): string[] {
  let count = 0
  for (let word = words[0]; word?.startsWith('--'); word = words[count]) {
    if (word === '--data') count += 2
    else if (word === '--debug' || word.startsWith('--data=')) count += 1
    else break
  }
  const rest = words.slice(count)
  // What follows `--` is the server's.
  const end = rest.includes('--') ? rest.indexOf('--') : rest.length
  return [...rest.slice(0, end), ...words.slice(0, count), ...rest.slice(end)]
}
