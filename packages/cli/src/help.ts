import { type Command, type Flags, globalFlags } from './command.ts'
import type { Entry } from './commands.ts'

/** What `maestro` alone says: every command in a line. */
export function overview(entries: readonly Entry[], topics: readonly string[]): string {
  const width = Math.max(...entries.map(({ name }) => name.length))
  const groups = [...new Set(entries.map(({ group }) => group))].map(group => {
    const lines = entries.filter(entry => entry.group === group).map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`)
    return `${group}\n${lines.join('\n')}`
  })
  return `Maestro Conductor runs MCP servers: a sandbox per session, one URL for any client, every session recorded.

  maestro up                         start it
  maestro deploy <package>           give it a server
  maestro call <deployment> <tool>   use it

${groups.join('\n\n')}

\`maestro help <command>\` explains one; topics: ${topics.join(', ')}.
`
}

/** The whole of a command, examples first. */
export function explain(command: Command): string {
  const parts = [
    command.summary,
    command.description,
    `Examples\n${command.examples.map(line => `  ${line}`).join('\n')}`,
    `Usage\n  ${usage(command)}`,
    section(
      'Arguments',
      (command.arguments ?? []).map(({ name, summary }) => [`<${name}>`, summary]),
    ),
    section('Flags', flagLines({ ...command.flags, ...globalFlags })),
  ]
  return `${parts.filter(part => part !== undefined && part !== '').join('\n\n')}\n`
}

export function usage({ name, arguments: args = [], flags = {}, rest }: Command): string {
  const words = [
    `maestro ${name}`,
    ...args.map(argument => (argument.optional ? `[<${argument.name}>]` : `<${argument.name}>`)),
    ...(Object.keys(flags).length > 0 ? ['[flags]'] : []),
    ...(rest === undefined ? [] : [`[-- ${rest}]`]),
  ]
  return words.join(' ')
}

function flagLines(flags: Flags): [string, string][] {
  return Object.entries(flags).map(([name, { value, optional, many, summary }]) => {
    const shown = value === undefined ? '' : optional ? `[=${value}]` : ` ${value}`
    return [`--${name}${shown}`, many ? `${summary} (again and again)` : summary]
  })
}

function section(title: string, lines: readonly (readonly [string, string])[]): string {
  if (lines.length === 0) return ''
  const width = Math.max(...lines.map(([left]) => left.length))
  return `${title}\n${lines.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join('\n')}`
}
