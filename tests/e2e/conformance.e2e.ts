/**
 * Goal: the gateway changes nothing a client of revision 2025-11-25 can see.
 * Method: run the official conformance suite against a server directly and through the gateway in front of the same
 * server in a sandbox; compare check by check.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import test, { after, before } from 'node:test'
import { serverFolders } from '@maestro/testkit'
import { type RunningConductor, startConductor } from './support/conductor.ts'
import { failures, requiredScenarios, runConformanceSuite, type SuiteResult } from './support/conformance-suite.ts'
import { installedProgram } from './support/installed-program.ts'
import { freePort, startServerProcess } from './support/server-process.ts'
import { temporaryFolder } from './support/temporary-folder.ts'
import { openTokenProxy } from './support/token-proxy.ts'

let conductor: RunningConductor
before(async () => {
  conductor = await startConductor()
})
after(() => conductor?.[Symbol.asyncDispose]())

/** The suite sends no token, so the test adds it on the way. */
async function throughGateway(source: string, options: Parameters<RunningConductor['deploy']>[1]) {
  const deployment = await conductor.deploy(source, options)
  const { mcpUrl, token } = await conductor.mint(deployment.name)
  await using proxy = await openTokenProxy(mcpUrl, token)
  return await runConformanceSuite(proxy.url)
}

/**
 * Only what is required is compared check by check: the rest is about the transport, which through us is ours. So is
 * whether an answer that comes alone is JSON or a stream of one event; the suite says INFO where it is JSON.
 */
function required(result: SuiteResult, scenarios: readonly string[]): Record<string, string[]> {
  const checksOf = (scenario: string) => result.scenarios.get(scenario) ?? ['did not run']
  const alike = (check: string) => (check === 'server-sse-streams-functional: INFO' ? check.replace('INFO', 'SUCCESS') : check)
  return Object.fromEntries(scenarios.map(scenario => [scenario, checksOf(scenario).map(alike)]))
}

test('our fixture passes every required scenario, directly and through the gateway, check by check alike', async () => {
  const port = await freePort()
  const fixture = join(serverFolders.conformance, 'main.js')
  await using server = await startServerProcess(process.execPath, [fixture, 'http', String(port)], port)
  const direct = await runConformanceSuite(server.url)
  assert.deepEqual(failures(direct), [])
  assert.equal(direct.code, 0, direct.stdout)

  const gateway = await throughGateway(serverFolders.conformance, { name: 'conformance' })
  const scenarios = await requiredScenarios()
  assert.equal(scenarios.length, 30)
  assert.deepEqual(required(gateway, scenarios), required(direct, scenarios))
  assert.deepEqual(failures(gateway), [])
  assert.equal(gateway.code, 0, gateway.stdout)
})

test('a server that fails scenarios fails the same ones through the gateway, but for those the gateway mends', async () => {
  const everything = '@modelcontextprotocol/server-everything@2026.8.31'
  const gateway = await throughGateway(everything, { name: 'everything-conformance' })
  await using folder = await temporaryFolder('everything')
  const program = await installedProgram(folder.path, everything)
  const port = await freePort()
  await using server = await startServerProcess(process.execPath, [program, 'streamableHttp'], port, { PORT: String(port) })
  const direct = await runConformanceSuite(server.url)

  // Directly the server checks neither Host nor Origin and answers 400 for a dead session; the gateway does both for it.
  const mended = ['dns-rebinding-protection', 'server-session-lifecycle']
  const scenarios = (await requiredScenarios()).filter(scenario => !mended.includes(scenario))
  assert.deepEqual(required(gateway, scenarios), required(direct, scenarios))
  for (const scenario of mended) {
    assert.notDeepEqual(failures(direct, scenario), [], `${scenario} passes directly by now; compare it like the others`)
    assert.deepEqual(failures(gateway, scenario), [])
  }
})
