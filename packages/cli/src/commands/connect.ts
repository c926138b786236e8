import { ConductorError } from '@maestro/contract'
import { createClient } from '../client.ts'
import { command } from '../command.ts'
import type { Context } from '../context.ts'
import { findConductor } from '../find-conductor.ts'
import { lines } from '../lines.ts'
import { openBridge } from '../mcp/bridge.ts'
import { type Credentials, deploymentCredentials, openEndpoint } from '../mcp/credentials.ts'
import { UsageError } from '../usage-error.ts'

const newline = Buffer.from('\n')

export default command({
  name: 'connect',
  summary: 'Be a stdio server to a client, on behalf of a deployment',
  description:
    'For clients that start their servers as a process. Reads JSON-RPC from standard input and writes it to standard output, a message per line.\nTokens are made and renewed by themselves. The session ends with standard input.',
  arguments: [{ name: 'deployment', summary: 'Name or id, or the URL of an MCP server', noun: 'deployment' }],
  examples: ['maestro connect everything', 'maestro connect everything --data ~/projects/demo/.maestro'],
  async run(context, { arguments: [target = ''] }) {
    const { out, stdin } = context
    const credentials = await credentialsFor(target, context)
    // Whatever is wrong with it is told now, by the exit code too, rather than with the first message.
    await credentials.current()
    const bridge = openBridge({
      credentials,
      write: frame => out.raw(Buffer.concat([frame, newline])),
      note: text => out.note(`maestro connect: ${text}`),
    })
    const ended = new Promise<'ended'>(resolve => {
      for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(signal, () => resolve('ended'))
    })
    const said = (async () => {
      for await (const line of lines(stdin)) if (line.length > 0) await bridge.receive(line)
      await bridge.finish()
    })()
    const how = await Promise.race([said, ended])
    if (how === 'ended') await bridge.abort()
    stdin.destroy()
    return 0
  },
})

/** A URL of our own Conductor is its deployment; any other URL is spoken to as it is. */
async function credentialsFor(target: string, { data, environment, cwd }: Context): Promise<Credentials> {
  const find = () => findConductor({ data, environment, cwd })
  const mintFor = (deployment: string) => deploymentCredentials(deployment, 'cli', async () => createClient(await find()))
  if (!/^https?:\/\//i.test(target)) return mintFor(target)
  const url = URL.parse(target)
  if (!url) throw new UsageError(`${JSON.stringify(target)} is no URL.`)
  const own = await find().catch(error => {
    if (error instanceof ConductorError) return null
    throw error
  })
  const name = own?.baseUrl === url.origin ? /^\/mcp\/([^/]+)$/.exec(url.pathname)?.[1] : undefined
  return name === undefined ? openEndpoint(url.href) : mintFor(decodeURIComponent(name))
}
