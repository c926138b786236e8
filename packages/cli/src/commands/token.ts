import { command, jsonFlag } from '../command.ts'
import { parseDuration } from '../parse-duration.ts'

export default command({
  name: 'token',
  summary: 'Make a short-lived token for a deployment',
  description: 'A client sends it as `Authorization: Bearer <token>` to the URL. It lives 15 minutes at most.',
  arguments: [{ name: 'deployment', summary: 'Name or id', noun: 'deployment' }],
  flags: {
    tools: { summary: 'Tools that may be called, separated by commas; all where left out', value: '<names>' },
    ttl: { summary: 'How long it lives, such as 90s or 15m', value: '<time>' },
    subject: { summary: 'Who it is for, as sessions will show it', value: '<name>' },
    ...jsonFlag,
  },
  examples: ['maestro token everything', 'maestro token everything --tools echo,add --ttl 5m --json'],
  async run({ out, client, signal }, { arguments: [deployment = ''], flags }) {
    const body = {
      deployment,
      ...(flags.tools === undefined
        ? {}
        : {
            tools: flags.tools
              .split(',')
              .map(name => name.trim())
              .filter(name => name !== ''),
          }),
      ...(flags.ttl === undefined ? {} : { ttlMs: parseDuration('--ttl', flags.ttl) }),
      ...(flags.subject === undefined ? {} : { subject: flags.subject }),
    }
    const token = await (await client()).call('mintToken', { body }, signal)
    if (flags.json !== undefined) return void out.json(token)
    out.line(token.token)
    out.note(`For ${token.mcpUrl} until ${new Date(token.expiresAt).toISOString()}`)
  },
})
