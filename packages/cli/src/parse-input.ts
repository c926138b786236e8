import { type Command, type Flag, type Flags, globalFlags, type Input } from './command.ts'
import { didYouMean } from './did-you-mean.ts'
import { UsageError } from './usage-error.ts'

export interface ParsedInput {
  input: Input
  globals: { data: string | undefined; debug: boolean; help: boolean }
}

/**
 * Reads what follows a command's name: `--flag value`, `--flag=value`, `-h`, positional arguments, and all behind `--` as it is.
 * Throws `UsageError` with the nearest flag where one is unknown.
 */
export function parseInput(command: Command, words: readonly string[]): ParsedInput {
  const known: Flags = { ...globalFlags, ...command.flags }
  const values: Record<string, string | true | string[]> = {}
  const positional: string[] = []
  let rest: string[] = []
  for (let index = 0; index < words.length; index++) {
    const word = words[index]!
    if (word === '--') {
      rest = words.slice(index + 1)
      break
    }
    if (word === '-h') {
      values['help'] = true
      continue
    }
    if (!word.startsWith('-') || word === '-') {
      positional.push(word)
      continue
    }
    const { name, value: attached } = split(word)
    const flag = Object.hasOwn(known, name) ? known[name] : undefined
    if (!flag || !word.startsWith('--')) throw unknownFlag(command, word, known)
    if (flag.value === undefined) {
      if (attached !== undefined) throw new UsageError(`--${name} takes no value.`, helpHint(command))
      values[name] = true
      continue
    }
    if (flag.optional) {
      values[name] = attached ?? true
      continue
    }
    const value = attached ?? words[++index]
    if (value === undefined || value === '--')
      throw new UsageError(`--${name} needs a value: --${name} ${flag.value}`, helpHint(command))
    put(values, name, flag, value)
  }
  const help = values['help'] === true
  if (!help) checkPositional(command, positional, rest)
  const flags = Object.fromEntries(
    Object.entries(command.flags ?? {}).map(([name, flag]) => [name, flagValue(flag, values[name])]),
  )
  return {
    input: { arguments: positional, flags, rest } as Input,
    globals: { data: values['data'] as string | undefined, debug: values['debug'] === true, help },
  }
}

function split(word: string): { name: string; value: string | undefined } {
  const at = word.indexOf('=')
  return at < 0 ? { name: word.slice(2), value: undefined } : { name: word.slice(2, at), value: word.slice(at + 1) }
}

function put(values: Record<string, string | true | string[]>, name: string, flag: Flag, value: string): void {
  const before = values[name]
  if (flag.many) values[name] = [...(Array.isArray(before) ? before : []), value]
  else if (before === undefined) values[name] = value
  else throw new UsageError(`--${name} was given twice.`)
}

function flagValue(flag: Flag, given: string | true | string[] | undefined): string | boolean | string[] | undefined {
  if (flag.many) return given === undefined ? [] : (given as string[])
  return flag.value === undefined ? given === true : (given as string | undefined)
}

function checkPositional(command: Command, positional: readonly string[], rest: readonly string[]): void {
  const wanted = command.arguments ?? []
  const missing = wanted.find((argument, index) => !argument.optional && positional[index] === undefined)
  if (missing) throw new UsageError(`\`maestro ${command.name}\` needs <${missing.name}>: ${missing.summary}`, helpHint(command))
  const extra = positional[wanted.length]
  if (extra !== undefined) {
    throw new UsageError(`\`maestro ${command.name}\` does not know what ${JSON.stringify(extra)} is for.`, helpHint(command))
  }
  if (rest.length > 0 && command.rest === undefined) {
    throw new UsageError(`\`maestro ${command.name}\` takes nothing behind \`--\`.`, helpHint(command))
  }
}

function unknownFlag(command: Command, word: string, known: Flags): UsageError {
  const name = word.replace(/^-+/, '').split('=', 1)[0] ?? ''
  const near = didYouMean(name, Object.keys(known))
  return new UsageError(
    `\`maestro ${command.name}\` has no flag ${word.split('=', 1)[0]}.`,
    near ? `Did you mean --${near}?` : helpHint(command),
  )
}

const helpHint = (command: Command) => `See \`maestro help ${command.name}\`.`
