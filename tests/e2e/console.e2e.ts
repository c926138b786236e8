/** The console in a real browser against the real product: sign in, look at a session, replay it. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import test, { after, before } from 'node:test'
import { serverFolders } from '@maestro/testkit'
import type { Browser, Page } from 'playwright-core'
import { openBrowser, withoutBrowser } from './support/browser.ts'
import { type RunningConductor, startConductor } from './support/conductor.ts'
import { maestro } from './support/maestro.ts'

const skip = withoutBrowser
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
let conductor: RunningConductor
let browser: Browser
let page: Page

before(async () => {
  if (skip) return
  conductor = await startConductor()
  await conductor.deploy(serverFolders.zoo, { name: 'counter', args: ['counter'] })
  const called = await maestro(conductor.data, ['call', 'counter', 'add', '{}'])
  assert.equal(called.code, 0, called.stderr)
  browser = await openBrowser()
  page = await (await browser.newContext({ viewport: { width: 1360, height: 860 }, reducedMotion: 'reduce' })).newPage()
  page.setDefaultTimeout(15_000)
})
after(async () => {
  await browser?.close()
  await conductor?.[Symbol.asyncDispose]()
})

async function assertAccessible(): Promise<void> {
  // Through the debugger: the page's content security policy refuses added script elements, as it should.
  await page.evaluate(axe)
  const violations = await page.evaluate(async () => {
    const { axe } = globalThis as unknown as {
      axe: { run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> }
    }
    return (await axe.run()).violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`)
  })
  assert.deepEqual(violations, [])
}

test('a stranger is told how to sign in and sees nothing else', { skip }, async () => {
  await page.goto(conductor.ready.consoleUrl.split('#')[0]!)
  await page
    .getByText(/maestro open/)
    .first()
    .waitFor()
  assert.equal(await page.getByText('counter').count(), 0)
})

test('the printed URL signs in, and the key is gone from the address bar', { skip }, async () => {
  await page.goto('about:blank')
  await page.goto(conductor.ready.consoleUrl)
  await page.getByRole('navigation').first().waitFor()
  await page
    .getByRole('link', { name: /sessions/i })
    .first()
    .waitFor()
  assert.ok(!page.url().includes('key='), page.url())
})

test('the session that was just run is listed, opens, and shows its call with the frames behind it', { skip }, async () => {
  await page
    .getByRole('link', { name: /^sessions/i })
    .first()
    .click()
  await page.getByRole('link', { name: /^ses_/ }).first().click()
  await page.getByText('add', { exact: true }).first().click()
  assert.match(page.url(), /\/console\/sessions\/ses_[0-9a-z]{20}\?/)
  await page.getByRole('tab', { name: /raw|frames/i }).click()
  await page
    .getByText(/"method":\s*"tools\/call"/)
    .first()
    .waitFor()
})

test('the same link opens the same view', { skip }, async () => {
  const link = page.url()
  const other = await page.context().newPage()
  await other.goto(link)
  await other
    .getByText(/"method":\s*"tools\/call"/)
    .first()
    .waitFor({ timeout: 15_000 })
  await other.close()
})

test('replaying from the page gives the verdict', { skip }, async () => {
  await page
    .getByRole('button', { name: /^replay/i })
    .first()
    .click()
  await page.getByRole('button', { name: 'Replay now' }).click()
  await page.getByText('All 2 frames from the server came again, in order.').first().waitFor({ timeout: 30_000 })
  const { items } = await conductor.api('listSessions')
  assert.equal(items[0]?.replay?.identical, true)
})

test('no page of the console has an accessibility fault, in light or dark', { skip }, async () => {
  const paths = ['', 'deployments', 'deployments/counter', 'deploy', 'pool', 'sessions', 'logs']
  const base = conductor.ready.consoleUrl.split('#')[0]!
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme })
    for (const path of [...paths.map(part => base + part), page.url()]) {
      await page.goto(path)
      await page.getByRole('main').waitFor()
      await assertAccessible()
    }
  }
})
