import { fileURLToPath } from 'node:url'
import { closeInheritedDescriptors, letHeapGrow, type RunningConductor, readConfig, startConductor } from '@maestro/conductor'
import { createClient } from '../client.ts'
import { clientConfiguration } from '../client-configuration.ts'
import { command } from '../command.ts'
import { detach } from '../detach.ts'
import { deployFirstServer } from '../first-server.ts'
import type { Out } from '../out.ts'

const maestro = fileURLToPath(new URL('../../bin/maestro.mjs', import.meta.url))

/** What a program reads on standard output once Conductor is ready. */
interface ReadyLine {
  ready: true
  mcpUrl: string | null
  token: string | null
  apiUrl: string
  consoleUrl: string
  deployment: string | null
}

export default command({
  name: 'up',
  summary: 'Start Conductor here',
  description:
    'Runs until Ctrl-C or `maestro stop`, then drains and ends with 0. Logs go to standard error and <data>/logs.\nSettings: `maestro help config`.',
  flags: {
    port: { summary: 'Port to listen on; 0 takes any free one', value: '<port>' },
    detach: { summary: 'Run in the background; come back when it is ready' },
    'first-server': { summary: 'Deploy a server to try things with, where nothing is deployed yet' },
    json: { summary: 'Print one JSON line when ready, and nothing else, on standard output' },
  },
  examples: ['maestro up', 'maestro up --port 0 --data ./data --json', 'maestro up --detach'],
  async run({ out, data, signal }, { flags }) {
    const config = readConfig({ port: flags.port, data })
    if (flags.detach) {
      const args = [
        ...(flags.port === undefined ? [] : ['--port', flags.port]),
        '--data',
        config.data,
        ...(flags['first-server'] ? ['--first-server'] : []),
      ]
      const line = await detach(maestro, args, config.data, signal)
      if (flags.json) out.line(line)
      else printReady(out, await forClients(JSON.parse(line) as ReadyLine, config.data, signal), config.data)
      return 0
    }
    closeInheritedDescriptors()
    letHeapGrow()
    const asked = stopAsked()
    const conductor = await startConductor(config)
    let stopping: Promise<void> | null = null
    void asked.then(reason => {
      stopping = conductor.stop(reason)
    })
    if (flags['first-server']) await Promise.race([deployFirstServer(conductor, text => out.note(text)), conductor.stopped])
    if (stopping === null) {
      const ready = await readyLine(conductor, { wantsServer: flags['first-server'], forProgram: flags.json })
      if (flags.json) out.event(ready)
      else printReady(out, ready, config.data)
    }
    await conductor.stopped
    await stopping
    return 0
  },
})

/** Settles with the first signal that asks us to end. Listened to before the start, so that none is lost on the way up. */
function stopAsked(): Promise<string> {
  return new Promise(resolve => {
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => resolve(signal))
  })
}

/**
 * The token for a program opens the API as well; the one a person pastes into a client's configuration opens one deployment and no more.
 * With nothing deployed there is no deployment to bind a token to. Who did not ask for one gets the operator key for the API,
 * which is in the console URL anyway; who asked for a first server and got none is told so by null.
 */
async function readyLine(
  conductor: RunningConductor,
  { wantsServer, forProgram }: { wantsServer: boolean; forProgram: boolean },
): Promise<ReadyLine> {
  const deployments = await conductor.deployments()
  const deployment = deployments.find(({ name }) => name === 'everything') ?? deployments[0]
  const minted = deployment ? await conductor.mintToken({ deployment: deployment.name, operator: forProgram }) : null
  return {
    ready: true,
    mcpUrl: minted?.mcpUrl ?? null,
    token: minted?.token ?? (wantsServer ? null : conductor.operatorKey),
    apiUrl: conductor.apiUrl,
    consoleUrl: conductor.consoleUrl,
    deployment: deployment?.name ?? null,
  }
}

/** What a Conductor in the background said to us, a program, with a token for a client in the place of ours. */
async function forClients(ready: ReadyLine, dataFolder: string, signal: AbortSignal): Promise<ReadyLine> {
  if (ready.deployment === null || ready.token === null) return ready
  const { origin } = new URL(ready.apiUrl)
  const client = createClient({ dataFolder, pid: 0, baseUrl: origin, operatorKey: ready.token })
  const { token } = await client.call('mintToken', { body: { deployment: ready.deployment } }, signal)
  return { ...ready, token }
}

function printReady(out: Out, { mcpUrl, token, consoleUrl, deployment }: ReadyLine, dataFolder: string): void {
  const head = (text: string) => out.style('bold', text)
  out.line(head('Maestro Conductor is ready'))
  out.line('')
  if (deployment !== null && mcpUrl !== null && token !== null) {
    const { stdio, http } = clientConfiguration(deployment, mcpUrl, token, { node: process.execPath, maestro, dataFolder })
    out.line(`${head('MCP URL')}  ${mcpUrl}`)
    out.line(`${head('Token')}    ${token}`)
    out.line('         lives 15 minutes; `npx maestro token` makes another')
    out.line('')
    out.line(head('For clients that start a process (the token is renewed for them)'))
    out.line(JSON.stringify(stdio, null, 2))
    out.line('')
    out.line(head('For clients that take a URL'))
    out.line(JSON.stringify(http, null, 2))
    out.line('')
  }
  out.line(`${head('Console')}  ${consoleUrl}`)
  out.line('')
  const next =
    deployment === null
      ? 'npx maestro deploy @modelcontextprotocol/server-everything'
      : `npx maestro call ${deployment} echo '{"message":"hello"}'`
  out.line(`${head('Next')}     ${next}`)
}
