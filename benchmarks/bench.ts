/** `npm run bench <name> -- [--quick] [--json] [--driver <name>]…`: runs one benchmark; with `--json` standard output is its result, one line. */
import { parseArgs } from 'node:util'
import { churnBench } from './churn.ts'
import { gatewayHop } from './gateway-hop.ts'
import { poolPlan } from './pool-plan.ts'
import { pooler } from './pooler.ts'
import { sessionStart } from './session-start.ts'

export interface Benchmark {
  /** Returns the result for `--json`. */
  run(options: { quick: boolean; drivers: readonly string[] }): Promise<object>
  what: string
}

const benchmarks: Record<string, Benchmark> = {
  'session-start': sessionStart,
  'gateway-hop': gatewayHop,
  pooler,
  'pool-plan': poolPlan,
  churn: churnBench,
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    driver: { type: 'string', multiple: true, default: [] },
  },
})
const benchmark = benchmarks[positionals[0] ?? '']
if (benchmark === undefined || positionals.length !== 1) {
  const names = Object.entries(benchmarks).map(([name, { what }]) => `  ${name.padEnd(16)}${what}`)
  process.stderr.write(`usage: npm run bench <name> -- [--quick] [--json] [--driver <name>]…\n${names.join('\n')}\n`)
  process.exit(2)
}
const result = await benchmark.run({ quick: values.quick, drivers: values.driver })
// The last line of standard output is the result, whoever reads it; what a person reads is on standard error and in the summary.
process.stdout.write(`${JSON.stringify(result)}\n`)
