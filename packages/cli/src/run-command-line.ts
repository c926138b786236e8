import type { Command } from './command.ts'
import { entries } from './commands.ts'
import type { Context } from './context.ts'
import { findCommand, globalsLast } from './find-command.ts'
import { createOut } from './out.ts'
import { parseInput } from './parse-input.ts'

const interrupted = 130

/** Runs one command line and resolves with its exit code. Never throws: what goes wrong is told on standard error. */
export async function runCommandLine(given: readonly string[]): Promise<number> {
  const words = globalsLast(given)
  const stop = new AbortController()
  process.once('SIGINT', () => stop.abort(new Error('interrupted')))
  const out = createOut(process.stdout, process.stderr)
  const debug = words.includes('--debug')
  try {
    const command = await commandFor(words)
    if (typeof command === 'string') {
      process.stdout.write(command)
      return 0
    }
    const { input, globals } = parseInput(command.definition, command.rest)
    if (globals.help) {
      const { explain } = await import('./help.ts')
      process.stdout.write(explain(command.definition))
      return 0
    }
    const context: Context = {
      out,
      signal: stop.signal,
      stdin: process.stdin,
      environment: process.env,
      cwd: process.cwd(),
      data: globals.data,
      client: async () => {
        const { findConductor } = await import('./find-conductor.ts')
        const { createClient } = await import('./client.ts')
        return createClient(await findConductor({ data: globals.data, environment: process.env, cwd: process.cwd() }))
      },
    }
    const code = await command.definition.run(context, input)
    return code ?? 0
  } catch (error) {
    if (stop.signal.aborted) return interrupted
    const { reportError } = await import('./report-error.ts')
    const { exitCode, lines } = reportError(error, debug)
    process.stderr.write(`${lines.join('\n')}\n`)
    return exitCode
  }
}

/** The command and the words behind its name, or the help that bare flags ask for. */
async function commandFor(words: readonly string[]): Promise<{ definition: Command; rest: string[] } | string> {
  const [first] = words
  if (first === undefined || first === '--help' || first === '-h') {
    const { overview } = await import('./help.ts')
    const { topics } = await import('./topics.ts')
    return overview(entries, Object.keys(topics))
  }
  const { entry, rest } = findCommand(first === '--version' || first === '-v' ? ['version'] : words)
  return { definition: (await entry.load()).default, rest }
}
