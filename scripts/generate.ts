/**
 * Writes what is derived from the contract: spec/openapi.json, spec/errors.json, docs/reference/{errors,config,metrics}.md.
 * With --check it writes nothing and fails where a file is stale.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describeApi, metrics, settings } from '@maestro/conductor'
import { type ErrorFacts, errorTable } from '@maestro/contract'

/** What the page says of a metric. */
interface MetricFacts {
  type: string
  labels: readonly string[]
  help: string
}

const root = join(import.meta.dirname, '..')
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }

export function generatedFiles(): Record<string, string> {
  return {
    'spec/openapi.json': `${JSON.stringify(describeApi(version), null, 2)}\n`,
    'spec/errors.json': `${JSON.stringify(errorsAsData(), null, 2)}\n`,
    'docs/reference/errors.md': errorsAsPage(),
    'docs/reference/config.md': configAsPage(),
    'docs/reference/metrics.md': metricsAsPage(),
  }
}

function errorsAsData() {
  return Object.fromEntries(
    Object.entries(errorTable as Record<string, ErrorFacts>).map(([code, facts]) => [
      code,
      { ...facts, docs: `/docs/reference/errors#${code}` },
    ]),
  )
}

function errorsAsPage(): string {
  const rows = Object.entries(errorTable as Record<string, ErrorFacts>).map(
    ([code, { status, rpc, exit, retry, hint }]) =>
      `### ${code}\n\nHTTP ${status} · JSON-RPC ${rpc} · CLI exit ${exit} · retry: ${retry}\n\n${hint}\n`,
  )
  return `# Errors\n\nGenerated from \`packages/contract/src/errors.ts\`. Over HTTP an error is a problem document (RFC 9457); over MCP it is a\nJSON-RPC error whose \`data.code\` is one of these. A server’s own errors pass untouched and have no \`data.code\` of ours.\n\nretry: \`never\`, the same request fails again; \`same\`, it may be sent again as it is; \`later\`, after a pause.\n\n${rows.join('\n')}`
}

function configAsPage(): string {
  const rows = Object.values(settings).map(
    setting =>
      `| \`${setting.env}\` | ${'flag' in setting && setting.flag ? `\`--${setting.flag}\`` : ''} | \`${JSON.stringify(setting.default)}\` | ${setting.meaning} |`,
  )
  return `# Settings\n\nGenerated from \`packages/conductor/src/config.ts\`. Precedence: flag, environment, default. An unknown \`MAESTRO_…\` variable is an error.\n\n| variable | flag | default | meaning |\n| --- | --- | --- | --- |\n${rows.join('\n')}\n`
}

function metricsAsPage(): string {
  const rows = Object.entries(metrics as Record<string, MetricFacts>).map(
    ([name, { type, labels, help }]) => `| \`${name}\` | ${type} | ${labels.map(label => `\`${label}\``).join(', ')} | ${help} |`,
  )
  return `# Metrics\n\nGenerated from \`packages/conductor/src/telemetry/metrics.ts\`. \`GET /metrics\` answers in the text format of Prometheus, on the same\nport as everything else, to the operator: send the operator key or an operator token as \`Authorization: Bearer …\`. The key is in\n\`keys/operator.key\` of the data folder; with Prometheus use \`authorization.credentials_file\`.\n\nThe \`conductor_leaked_…\` gauges are measured, by looking for what carries our name and belongs to no sandbox that runs, once in two\nseconds at most. They are absent where the driver cannot look. Anything but 0 for longer than a sandbox takes to end is a mistake of ours.\n\n| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n${rows.join('\n')}\n`
}

if (import.meta.main) {
  const check = process.argv.includes('--check')
  const stale: string[] = []
  for (const [path, content] of Object.entries(generatedFiles())) {
    const file = join(root, path)
    if (check) {
      if (readOrEmpty(file) !== content) stale.push(path)
    } else {
      mkdirSync(dirname(file), { recursive: true })
      writeFileSync(file, content)
      console.error(`wrote ${path}`)
    }
  }
  if (stale.length > 0) {
    console.error(`Stale: ${stale.join(', ')}. Run \`npm run generate\` and commit the result.`)
    process.exitCode = 1
  }
}

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
