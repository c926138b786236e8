import { type Flags, globalFlags, type Noun } from './command.ts'
import type { Entry } from './commands.ts'

/**
 * What may stand at the last of these words, which is the one being typed. `namesOf` brings what is alive: deployments, sessions, secrets.
 * An empty list means: let the shell complete files.
 */
export async function complete(
  words: readonly string[],
  entries: readonly Entry[],
  namesOf: (noun: Noun) => Promise<string[]>,
): Promise<string[]> {
  const typed = words.at(-1) ?? ''
  const before = words.slice(0, -1)
  const starting = (candidates: Iterable<string>) =>
    [...new Set(candidates)].filter(candidate => candidate.startsWith(typed)).sort()
  const entry =
    entries.find(({ name }) => name === before.slice(0, 2).join(' ')) ?? entries.find(({ name }) => name === before[0])
  if (!entry) {
    const prefix = before.length === 0 ? '' : `${before.join(' ')} `
    return starting(
      entries.filter(({ name }) => name.startsWith(prefix)).map(({ name }) => name.slice(prefix.length).split(' ')[0] ?? ''),
    )
  }
  const command = (await entry.load()).default
  const given = before.slice(entry.name.split(' ').length)
  if (given.includes('--')) return []
  const flags: Flags = { ...command.flags, ...globalFlags }
  const last = given.at(-1)
  if (last?.startsWith('--') && takesValue(flags, last)) {
    return last === '--deployment' ? starting(await namesOf('deployment')) : []
  }
  if (typed.startsWith('-')) return starting(Object.keys(flags).map(name => `--${name}`))
  const noun = command.arguments?.[positionOf(given, flags)]?.noun
  return noun === undefined || noun === 'file' ? [] : starting(await namesOf(noun))
}

const takesValue = (flags: Flags, word: string): boolean => {
  const flag = flags[word.slice(2)]
  return flag?.value !== undefined && !flag.optional
}

function positionOf(given: readonly string[], flags: Flags): number {
  let position = 0
  for (const [index, word] of given.entries()) {
    if (word.startsWith('-') || takesValue(flags, given[index - 1] ?? '')) continue
    position++
  }
  return position
}
