import { command, jsonFlag } from '../command.ts'
import { withProgress } from '../progress.ts'

export default command({
  name: 'stub',
  summary: 'Let a recording answer clients',
  description:
    'Deploys the recording of a session. It answers what was asked before; anything else is an error that names the nearest recorded call.',
  arguments: [{ name: 'session', summary: 'Session id', noun: 'session' }],
  flags: { name: { summary: 'Name of the deployment', value: '<name>' }, ...jsonFlag },
  examples: ['maestro stub ses_…', 'maestro stub ses_… --name frozen --json'],
  async run({ out, client, signal }, { arguments: [session = ''], flags }) {
    const conductor = await client()
    const body = { source: session, ...(flags.name === undefined ? {} : { name: flags.name }) }
    const { deployment } = await withProgress(out, 'Deploying the recording', () => conductor.call('deploy', { body }, signal))
    const { token, mcpUrl, expiresAt } = await conductor.call('mintToken', { body: { deployment: deployment.name } }, signal)
    if (flags.json !== undefined) return void out.json({ deployment: deployment.name, mcpUrl, token, expiresAt })
    out.line(`${out.style('bold', deployment.name)}  answers from ${session}`)
    out.line(`  URL    ${mcpUrl}`)
    out.line(`  token  ${token}`)
    out.note(`The token lives 15 minutes; \`maestro token ${deployment.name}\` makes another.`)
  },
})
