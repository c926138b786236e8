import { command } from '../command.ts'
import { contentText } from '../mcp/content-text.ts'
import { deploymentCredentials } from '../mcp/credentials.ts'
import { openMcpSession, RpcFailure } from '../mcp/mcp-session.ts'
import { UsageError } from '../usage-error.ts'
import { version } from '../version.ts'
import { oneLine, visible } from '../visible.ts'

export default command({
  name: 'call',
  summary: 'Call a tool in a session of its own',
  description:
    'Opens a session, calls the tool and ends the session, which is recorded like any other. Exit code 1 where the tool answers with an error.',
  arguments: [
    { name: 'deployment', summary: 'Name or id', noun: 'deployment' },
    { name: 'tool', summary: 'Name of the tool' },
    { name: 'json', summary: 'Its arguments as a JSON object; {} where left out', optional: true },
  ],
  flags: { json: { summary: 'Print the whole result as JSON' } },
  examples: [`maestro call everything echo '{"message":"hello"}'`, `maestro call everything get-sum '{"a":1,"b":2}' --json`],
  async run({ out, client, signal }, { arguments: [deployment = '', tool = '', text = '{}'], flags }) {
    const given = parseArguments(text)
    const conductor = await client()
    const session = await openMcpSession({
      credentials: deploymentCredentials(deployment, 'cli', async () => conductor),
      version,
      note: out.note,
      onNotification: (method, params) => {
        if (method === 'notifications/message')
          out.note(`${params['level'] ?? 'log'}: ${oneLine(JSON.stringify(params['data']))}`)
        else if (method === 'notifications/progress') out.note(progressText(params))
      },
    })
    const interrupted = new Promise<never>((_, reject) =>
      signal.addEventListener('abort', () => reject(signal.reason), { once: true }),
    )
    try {
      const result = await Promise.race([
        session.request('tools/call', { name: tool, arguments: given, _meta: { progressToken: 'call' } }),
        interrupted,
      ])
      const failed = result['isError'] === true
      if (flags.json) out.json(result)
      else for (const part of contentText(result)) out.line(out.isTerminal ? visible(part) : part)
      if (failed) out.note('The tool answered with an error.')
      return failed ? 1 : 0
    } catch (error) {
      if (!(error instanceof RpcFailure)) throw error
      out.note(`maestro: ${deployment} answered with error ${String(error.code)}: ${error.message}`)
      if (error.data !== undefined) out.note(`  data: ${oneLine(JSON.stringify(error.data), 1000)}`)
      return 1
    } finally {
      await session.close()
    }
  },
})

/** `3 of 5: reading`. The server's words, so they are kept to one line. */
function progressText({ progress, total, message }: Record<string, unknown>): string {
  const share = typeof total === 'number' ? `${String(progress)} of ${total}` : String(progress)
  return oneLine(typeof message === 'string' ? `${share}: ${message}` : share)
}

function parseArguments(text: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new UsageError(
      `The arguments are not JSON: ${(error as Error).message}`,
      `Quote them for the shell: '{"message":"hello"}'`,
    )
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new UsageError('The arguments are a JSON object, such as {"message":"hello"}.')
  return value as Record<string, unknown>
}
