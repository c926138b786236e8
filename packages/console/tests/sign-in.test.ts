import assert from 'node:assert/strict'
import { after, afterEach, before, suite, test } from 'node:test'
import { operatorKey } from '../mock/server.ts'
import { axeFindings, Stand, seenIn, skip, until } from './browser.ts'

suite('sign-in', { skip }, () => {
  let stand: Stand
  before(async () => {
    stand = await Stand.open()
  })
  afterEach(() => stand.clear())
  after(() => stand.close())

  test('the key leaves the URL and its history before anything else, and the cookie does the rest', async () => {
    const context = await stand.browser.newContext()
    const page = await context.newPage()
    await page.goto(`${stand.mock.origin}/console/#key=${operatorKey}`)
    await page.getByRole('heading', { name: 'Overview' }).waitFor()
    assert.equal(new URL(page.url()).hash, '')
    await page.reload()
    await page.getByRole('heading', { name: 'Overview' }).waitFor()
    assert.equal(await page.evaluate(() => document.cookie), '', 'the cookie is out of reach for scripts')
    assert.ok(!JSON.stringify(await page.evaluate(() => ({ ...localStorage, ...sessionStorage }))).includes(operatorKey))
    await page.goBack()
    assert.ok(!page.url().includes(operatorKey))
    await context.close()
  })

  test('without a sign-in the console says how to get one, and takes a key or the whole URL', async () => {
    const context = await stand.browser.newContext()
    try {
      const page = await context.newPage()
      await page.goto(`${stand.mock.origin}/console/sessions?state=closed`)
      await page.getByRole('heading', { name: 'Sign in' }).waitFor()
      assert.match(await seenIn(page.locator('main')), /maestro open/)
      assert.deepEqual(await axeFindings(page), [])

      await page.getByLabel('Operator key').fill('wrong')
      await page.getByRole('button', { name: 'Sign in' }).click()
      assert.match(await seenIn(page.getByRole('alert')), /not the operator key[\s\S]*operator_required/)

      await page.getByLabel('Operator key').fill(`${stand.mock.origin}/console/#key=${operatorKey}`)
      await page.getByRole('button', { name: 'Sign in' }).click()
      await page.getByRole('heading', { name: 'Sessions' }).waitFor()
      assert.match(page.url(), /sessions\?state=closed$/, 'the page that was asked for')
    } finally {
      await context.close()
    }
  })

  test('the URL with the key also works where the console is already open', async () => {
    const page = await stand.page('/pool')
    await page.context().clearCookies()
    await page.evaluate(key => {
      location.hash = `#key=${key}`
    }, operatorKey)
    await page.waitForURL(url => url.hash === '')
    await until(
      async () => (await page.context().cookies()).length,
      count => count === 1,
      'cookies',
    )
  })

  test('a session that ends while the console is open leads back to the sign-in page', async () => {
    const page = await stand.page('/pool')
    await page.context().clearCookies()
    await page.getByRole('link', { name: 'Deployments' }).click()
    await page.getByRole('heading', { name: 'Sign in' }).waitFor()
  })
})
