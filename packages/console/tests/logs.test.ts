import assert from 'node:assert/strict'
import { after, afterEach, before, suite, test } from 'node:test'
import { Stand, skip, until } from './browser.ts'

suite('logs', { skip }, () => {
  let stand: Stand
  before(async () => {
    stand = await Stand.open()
  })
  afterEach(() => stand.clear())
  after(() => stand.close())

  test('entries appear as they are written, and the end stays in sight', async () => {
    const page = await stand.page('/logs')
    await page.getByText('Following').waitFor()
    stand.mock.log({ level: 'info', event: 'test.happened', number: 1 })
    await page.getByText('test.happened').waitFor()
    const { gap } = await page.getByRole('log').evaluate(box => ({ gap: box.scrollHeight - box.scrollTop - box.clientHeight }))
    assert.ok(gap < 5, `${gap} px from the end`)
  })

  test('levels and search are kept in the URL', async () => {
    const page = await stand.page('/logs')
    await page.getByText('lease.granted').first().waitFor()
    await page.getByRole('button', { name: 'Errors', exact: true }).click()
    await page.waitForURL(/level=error/)
    await until(
      () => page.getByText('lease.granted').count(),
      count => count === 0,
      'no info left',
    )
    await page.getByText('sandbox.start_failed').first().waitFor()
    await page.getByLabel('Search logs').fill('no such text')
    await page.getByText('No entry passes').waitFor()
  })

  test('paused, entries wait and are counted', async () => {
    const page = await stand.page('/logs')
    await page.getByText('lease.granted').first().waitFor()
    await page.keyboard.press('p')
    stand.mock.log({ level: 'info', event: 'test.held' })
    await page.getByText('Paused, 1 waiting').waitFor()
    assert.equal(await page.getByText('test.held').count(), 0)
    await page.keyboard.press('p')
    await page.getByText('test.held').waitFor()
  })
})
