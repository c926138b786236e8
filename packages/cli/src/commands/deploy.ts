import { command, jsonFlag } from '../command.ts'
import { localSource } from '../local-source.ts'
import { parseCount } from '../parse-count.ts'
import { parseEnv } from '../parse-env.ts'
import { withProgress } from '../progress.ts'
import { oneLine } from '../visible.ts'

export default command({
  name: 'deploy',
  summary: 'Install a server and give it a URL',
  description:
    'A package is fetched with install scripts off and every file held to its checksum, kept as a read-only bundle, and run once to see its tools.\nThe same request again changes nothing. Without --egress the server has no network.',
  arguments: [
    {
      name: 'source',
      summary: 'npm package[@version], pypi:package[@version], folder, program file, https URL or session id',
      noun: 'file',
    },
  ],
  rest: 'arguments of the server',
  flags: {
    name: { summary: 'Name of the deployment', value: '<name>' },
    env: { summary: 'Environment of the server: KEY=value or KEY=secret:<name>', value: '<pair>', many: true },
    egress: {
      summary: 'Hosts it may reach, separated by commas; *.example.com and :port are understood',
      value: '<hosts>',
      many: true,
    },
    memory: { summary: 'Memory of one sandbox, MiB', value: '<MiB>' },
    pids: { summary: 'Processes and threads of one sandbox', value: '<count>' },
    disk: { summary: 'Working folder, /tmp and shared memory of one sandbox, MiB', value: '<MiB>' },
    'record-egress': {
      summary: 'Put its HTTP exchanges on the tape, those inside TLS too; the server is given our certificate to trust',
    },
    bin: { summary: 'Which program of the package or folder to run: a script, a Python module, or a file', value: '<name>' },
    'allow-scripts': { summary: 'Run install scripts of the packages' },
    ...jsonFlag,
  },
  examples: [
    'maestro deploy @modelcontextprotocol/server-memory',
    'maestro deploy @modelcontextprotocol/server-filesystem@2026.8.31 --name files -- .',
    'maestro deploy ./my-server --env LEVEL=debug --env API_KEY=secret:my-key --egress api.example.com',
    'maestro deploy pypi:mcp-server-time -- --local-timezone Europe/Berlin',
    'maestro deploy ./my-python-server --bin my_package.server',
    'maestro deploy @playwright/mcp --memory 1536 --pids 512 --disk 512 -- --headless --isolated --no-sandbox --executable-path /usr/bin/chromium',
    'maestro deploy ./my-server --egress api.example.com --record-egress',
    'maestro deploy https://mcp.example.com/mcp',
  ],
  async run({ out, client, cwd, signal }, { arguments: [source = ''], flags, rest }) {
    const conductor = await client()
    const egress = flags.egress
      .flatMap(hosts => hosts.split(','))
      .map(host => host.trim())
      .filter(host => host !== '')
    const env = parseEnv(flags.env)
    const limits = {
      ...(flags.memory === undefined ? {} : { memoryMiB: parseCount('--memory', flags.memory, 16, 65_536) }),
      ...(flags.pids === undefined ? {} : { pids: parseCount('--pids', flags.pids, 4, 32_768) }),
      ...(flags.disk === undefined ? {} : { diskMiB: parseCount('--disk', flags.disk, 1, 65_536) }),
    }
    const body = {
      source: localSource(source, cwd),
      ...(flags.name === undefined ? {} : { name: flags.name }),
      ...(Object.keys(env).length > 0 ? { env } : {}),
      ...(rest.length > 0 ? { args: rest } : {}),
      ...(egress.length > 0 ? { egress } : {}),
      ...(Object.keys(limits).length > 0 ? { limits } : {}),
      ...(flags['record-egress'] ? { egressRecord: true } : {}),
      ...(flags.bin === undefined ? {} : { bin: flags.bin }),
      ...(flags['allow-scripts'] ? { allowScripts: true } : {}),
    }
    const { deployment, installed, changed } = await withProgress(out, `Deploying ${source}`, () =>
      conductor.call('deploy', { body }, signal),
    )
    if (flags.json !== undefined) return void out.json({ deployment, installed, changed })
    const { name, release, mcpUrl } = deployment
    const what = changed ? (installed ? 'installed and deployed' : 'deployed; it was installed already') : 'unchanged'
    out.line(`${out.style('bold', name)}  ${oneLine(`${release.name}@${release.version}`)}  ${what}`)
    out.line(`  URL    ${mcpUrl}`)
    const tools = release.manifest.tools.map(tool => oneLine(tool.name, 64)).join(', ')
    out.line(`  tools  ${tools || 'none'}`)
    out.note(`Next: maestro tools ${name}, maestro call ${name} <tool>, or maestro token ${name}`)
  },
})
