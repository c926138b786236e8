import { readdir, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { run } from './run.ts'
import { temporaryFolder } from './temporary-folder.ts'

const home = dirname(createRequire(import.meta.url).resolve('@modelcontextprotocol/conformance/package.json'))
const suite = join(home, 'dist', 'index.js')

export interface SuiteResult {
  code: number | null
  /** Scenario → its checks, as `id: STATUS`, sorted. Scenarios the revision does not require are run too. */
  scenarios: Map<string, string[]>
  stdout: string
}

/** Runs the official conformance suite for servers and reads what it wrote of each check. */
export async function runConformanceSuite(url: string, requirements = '2025-11-25'): Promise<SuiteResult> {
  await using folder = await temporaryFolder('conformance')
  const args = [suite, 'server', '--url', url, '--requirements', requirements, '-o', folder.path]
  const { code, stdout, stderr } = await run(process.execPath, args, { timeoutMs: 240_000 })
  const scenarios = new Map<string, string[]>()
  for (const name of await readdir(folder.path, { recursive: true })) {
    const scenario = /(?:^|\/)server-([^/]+?)-\d{4}-\d\d-\d\dT[^/]*\/checks\.json$/.exec(name)?.[1]
    if (!scenario) continue
    const checks = JSON.parse(await readFile(join(folder.path, name), 'utf8')) as { id: string; status: string }[]
    scenarios.set(scenario, checks.map(({ id, status }) => `${id}: ${status}`).sort())
  }
  return { code, scenarios, stdout: `${stdout}\n${stderr}` }
}

/** Failed checks, of all scenarios or of one. */
export const failures = ({ scenarios }: SuiteResult, only?: string): string[] =>
  [...scenarios]
    .filter(([scenario]) => only === undefined || scenario === only)
    .flatMap(([scenario, checks]) => checks.filter(check => check.endsWith('FAILURE')).map(check => `${scenario} ${check}`))

/** The server scenarios a revision requires, from the suite's own list. */
export async function requiredScenarios(revision = '2025-11-25'): Promise<string[]> {
  const text = await readFile(join(home, 'requirements', `${revision}.yaml`), 'utf8')
  const section = /^server:\n((?: {2}- .*\n|\s*#.*\n)+)/m.exec(text)?.[1] ?? ''
  return [...section.matchAll(/^ {2}- (.+)$/gm)].map(([, scenario]) => scenario!)
}
