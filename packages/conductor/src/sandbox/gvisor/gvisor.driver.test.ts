import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { it } from 'node:test'
import { findCgroups } from '../cgroup/cgroups.ts'
import { sandboxContract } from '../sandbox.contract.ts'
import { answerAsNobody } from '../testing/as-nobody.ts'
import { makeProbeBundle, quietWorld, startSpecimen } from '../testing/specimen.ts'
import { GvisorDriver } from './gvisor.ts'

const cgroups = findCgroups()

const trial = new GvisorDriver(quietWorld())
const { usable, detail } = await trial.check()
await trial.close()

if (usable) {
  if (cgroups) {
    sandboxContract({
      title: 'gVisor with control groups',
      make: () => new GvisorDriver(quietWorld(), { cgroups }),
      isolates: true,
      counts: true,
      ownKernel: true,
    })
  }
  sandboxContract({
    title: 'gVisor without control groups',
    make: () => new GvisorDriver(quietWorld(), { cgroups: null }),
    isolates: true,
    counts: false,
    ownKernel: true,
  })
} else {
  it('gVisor keeps the contract of a sandbox', { skip: detail }, () => {})
}

it('an ordinary user can use gVisor too, and a server of theirs answers', {
  skip: !usable || process.getuid?.() !== 0,
}, async context => {
  const answer = await answerAsNobody('gvisor')
  if ('skip' in answer) return context.skip(answer.skip)
  assert.equal(answer.value, 'Linux sandbox')
})

it('gVisor lets a server out through the egress proxy and nowhere else', { skip: !usable }, async () => {
  const service = createServer((_, response) => response.end('reached')).listen(0, '127.0.0.1')
  await once(service, 'listening')
  const host = `127.0.0.1:${(service.address() as AddressInfo).port}`
  const bundle = makeProbeBundle()
  const driver = new GvisorDriver(quietWorld(), { egress: { allowPrivate: ['127.0.0.1'] } })
  try {
    const specimen = await startSpecimen(driver, bundle.folder, { egress: [host] })
    const viaProxy = (target: string) =>
      specimen.ask(
        `return new Promise(done => require("node:http").request({ host: "127.0.0.1", port: 3128, path: "http://${target}/", headers: { host: "${target}" } }, async answer => { let text = ""; for await (const chunk of answer) text += chunk; done([answer.statusCode, text]) }).on("error", error => done(error.code)).end())`,
      )
    assert.deepEqual(await viaProxy(host), [200, 'reached'])
    assert.equal(((await viaProxy('127.0.0.1:1')) as [number])[0], 403)
    const direct = `return new Promise(done => require("node:net").connect(${(service.address() as AddressInfo).port}, "127.0.0.1", () => done("reached")).on("error", error => done(error.code)))`
    assert.equal(await specimen.ask(direct), 'ECONNREFUSED')
  } finally {
    await driver.close()
    bundle.remove()
    service.close()
  }
})
