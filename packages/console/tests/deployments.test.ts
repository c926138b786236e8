import assert from 'node:assert/strict'
import { after, afterEach, before, suite, test } from 'node:test'
import { axeFindings, Stand, seenIn, skip, until } from './browser.ts'

suite('deployments', { skip }, () => {
  let stand: Stand
  before(async () => {
    stand = await Stand.open()
  })
  afterEach(() => stand.clear())
  after(() => stand.close())

  test('a tool is tried from its schema and answers', async () => {
    const page = await stand.page('/deployments/github?tool=search_issues')
    const form = page.getByRole('region', { name: 'Try search_issues' })
    await form.getByRole('button', { name: 'Call search_issues' }).click()
    assert.match(await seenIn(form.getByRole('alert')), /Fill in repo, query/)

    await form.getByLabel(/^repo/).fill('acme/app')
    await form.getByLabel(/^query/).fill('is:open')
    await form.getByLabel(/^limit/).fill('5')
    await form.getByLabel(/^state/).selectOption('open')
    await form.getByLabel(/^exact/).selectOption('true')
    await form.getByRole('button', { name: 'Add to labels' }).click()
    await form.getByLabel(/^labels 1/).fill('bug')
    await form.getByLabel(/^from/).fill('2026-01-01')
    await form.getByLabel(/^filter/).fill('{"not": ["wontfix"]}')
    await form.getByRole('button', { name: 'Call search_issues' }).click()
    await form.getByText('Answered', { exact: true }).waitFor()
    assert.match(await seenIn(form), /notifications\/progress/)
    assert.deepEqual(await axeFindings(page), [])

    await form.getByRole('button', { name: 'Raw', exact: true }).click()
    const result = JSON.parse(await seenIn(form.locator('pre.raw')))
    assert.deepEqual(result.structuredContent.arguments, {
      repo: 'acme/app',
      query: 'is:open',
      limit: 5,
      state: 'open',
      exact: true,
      labels: ['bug'],
      range: { from: '2026-01-01' },
      filter: { not: ['wontfix'] },
    })
    await form.getByRole('link', { name: 'See its session' }).click()
    await page.waitForURL(/\/sessions\/ses_/)
  })

  test('raw arguments are sent as they are', async () => {
    const page = await stand.page('/deployments/github?tool=create_issue')
    await page.getByRole('button', { name: 'Raw JSON' }).click()
    await page.getByLabel('Arguments', { exact: true }).fill('{"repo": 1}')
    await page.getByRole('button', { name: 'Call create_issue' }).click()
    await page.getByText('Answered', { exact: true }).waitFor()
    await page.getByRole('button', { name: 'Raw', exact: true }).click()
    assert.deepEqual(JSON.parse(await seenIn(page.locator('pre.raw'))).structuredContent.arguments, { repo: 1 })
  })

  test('a minted token stands in the ready client configuration', async () => {
    const page = await stand.page('/deployments/github?tab=connect')
    await page.getByRole('button', { name: 'Mint a token' }).click()
    await page.getByRole('button', { name: 'Copy token' }).waitFor()
    await page.getByRole('button', { name: 'mcp.json' }).click()
    const snippet = await seenIn(page.locator('.snippet pre').first())
    const { mcpServers } = JSON.parse(snippet)
    assert.match(mcpServers.github.headers.Authorization, /^Bearer eyJ/)
  })

  test('values of the environment are not in the page', async () => {
    const page = await stand.page('/deployments/github?tab=settings')
    await page.getByText('from the secret github').waitFor()
    assert.doesNotMatch(await page.locator('main').innerHTML(), />warn</)
  })

  test('how it starts, what each way takes and why one is not used', async () => {
    const page = await stand.page('/deployments/github?tab=settings')
    assert.match(await seenIn(page.locator('main')), /Start\s+one file, 88\.4 ms/)
    const starts = await seenIn(page.getByRole('region', { name: 'How it starts' }))
    assert.match(starts, /plain\s+161 ms until it answers/i)
    assert.match(starts, /one file\s+88\.4 ms until it answers\s+in use/i)
    assert.match(starts, /V8 snapshot\s+not used: its dependencies open a socket/i)
    assert.match(starts, /Prepared in\s+5\.24 s/i)
    assert.deepEqual(await axeFindings(page), [])
  })

  test('a faster start that is ready shows without a reload', async () => {
    const page = await stand.page('/deployments/everything')
    assert.match(await seenIn(page.locator('main')), /Start\s+plain; a faster one is being prepared/)
    const everything = stand.mock.world.deployments.find(item => item.name === 'everything')!
    everything.start = { state: 'ready', kind: 'snapshot', measuredMs: { snapshot: 54 }, refused: [], preparationMs: 9_000 }
    await page.getByText(/V8 snapshot, 54/).waitFor()
  })

  test('deploying shows progress, keeps the form on an error, and leads to the deployment', async () => {
    const page = await stand.page('/deployments/new')
    const button = page.getByRole('button', { name: 'Deploy', exact: true })
    assert.equal(await button.isDisabled(), true)
    await page.getByLabel('Source').fill('missing-package')
    await button.click()
    await page.getByRole('progressbar', { name: 'Deploying' }).waitFor()
    await page.getByText(/release\.installing/).waitFor()
    assert.match(await seenIn(page.getByRole('alert')), /Could not deploy missing-package[\s\S]*package_not_found/)
    assert.deepEqual(await axeFindings(page), [])

    await page.getByLabel('Source').fill('mcp-server-time@1.2.0')
    await page.getByLabel('Name', { exact: true }).fill('clock')
    const record = page.getByLabel(/^Record its HTTP exchanges/)
    assert.equal(await record.isDisabled(), true, 'without a network there is nothing to record')
    await page.getByLabel('Egress').fill('time.example.com\n*.example.org')
    await record.check()
    await page.getByLabel('Arguments').fill('--zone\nEurope/Oslo')
    assert.match(
      await seenIn(page.locator('aside .snippet')),
      /--egress 'time\.example\.com,\*\.example\.org' --record-egress -- --zone Europe\/Oslo/,
    )
    await button.click()
    await page.getByRole('heading', { name: 'clock', level: 1 }).waitFor()
    const made = stand.mock.world.deployments.find(item => item.name === 'clock')!
    assert.deepEqual(
      [made.egress, made.egressRecord, made.args],
      [['time.example.com', '*.example.org'], true, ['--zone', 'Europe/Oslo']],
    )
  })

  test('removing asks with the name in the sentence', async () => {
    const page = await stand.page('/deployments/broken')
    await page.getByRole('button', { name: 'Remove', exact: true }).click()
    const question = page.getByRole('alertdialog')
    assert.match(await seenIn(question), /Remove broken\?/)
    await until(
      () => axeFindings(page),
      findings => findings.length === 0,
      'axe',
    )
    await question.getByRole('button', { name: 'Remove broken' }).click()
    await page.getByRole('heading', { name: 'Deployments', level: 1 }).waitFor()
    assert.ok(!stand.mock.world.deployments.some(item => item.name === 'broken'))
  })

  test('the list is searched and walked by keys', async () => {
    const page = await stand.page('/deployments')
    await page.getByRole('row').nth(1).waitFor()
    await page.keyboard.press('j')
    await page.keyboard.press('j')
    assert.equal(await page.evaluate(() => document.activeElement?.textContent), 'everything')
    await page.keyboard.press('/')
    await page.keyboard.type('git')
    await page.waitForURL(/find=git/)
    await until(
      () => page.getByRole('row').count(),
      count => count === 2,
      'rows',
    )
  })
})
