import { command, jsonFlag } from '../command.ts'
import { oneLine } from '../visible.ts'

export default command({
  name: 'tools',
  summary: 'List the tools of a deployment',
  description: 'As its server named them on its first run.',
  arguments: [{ name: 'deployment', summary: 'Name or id', noun: 'deployment' }],
  flags: jsonFlag,
  examples: ['maestro tools everything', 'maestro tools everything --json=name,inputSchema'],
  async run({ out, client }, { arguments: [id = ''], flags }) {
    const { release } = await (await client()).call('getDeployment', { params: { id } })
    out.rows(
      release.manifest.tools,
      [
        { title: 'TOOL', text: tool => tool.name },
        { title: 'ARGUMENTS', text: tool => oneLine(argumentsOf(tool.inputSchema), 60) },
        { title: 'DESCRIPTION', text: tool => oneLine(tool.description ?? '', 90) },
      ],
      { json: flags.json, empty: `${id} offers no tools.` },
    )
  },
})

/** Names of the properties, optional ones in brackets. The schema is the server's: anything may stand there. */
function argumentsOf(schema: unknown): string {
  const { properties, required } = (schema ?? {}) as { properties?: unknown; required?: unknown }
  if (typeof properties !== 'object' || properties === null) return ''
  const must = new Set(Array.isArray(required) ? required : [])
  return Object.keys(properties)
    .map(name => (must.has(name) ? name : `[${name}]`))
    .join(' ')
}
