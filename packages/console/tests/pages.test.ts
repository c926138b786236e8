import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, afterEach, before, suite, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { type Mock, startMock } from '../mock/server.ts'
import { axeFindings, Stand, seenIn, skip, until } from './browser.ts'

suite('pages', { skip }, () => {
  let stand: Stand
  let empty: Mock
  before(async () => {
    stand = await Stand.open()
    empty = await startMock({ dist: stand.dist, isEmpty: true })
  })
  afterEach(() => stand.clear())
  after(async () => {
    await empty.close()
    await stand.close()
  })

  const sessionId = (is: (session: Mock['world']['sessions'][number]) => boolean) => stand.mock.world.sessions.find(is)!.id

  for (const colorScheme of ['light', 'dark'] as const) {
    test(`every page is clean by axe and logs no error, ${colorScheme}`, async () => {
      const sample = sessionId(session => session.errors === 2 && session.deploymentName === 'github')
      const paths = [
        '/',
        '/sessions',
        '/sessions?state=closed&deployment=github',
        `/sessions/${sample}`,
        `/sessions/${sample}?at=f6&tab=output&find=issue`,
        `/sessions/${sample}?at=f6&tab=frames`,
        `/sessions/${sample}?at=f19&tab=timing&only=errors`,
        `/sessions/${sessionId(session => session.client === 'inspector 2.12.0')}?panel=replay`,
        `/sessions/${sessionId(session => session.closeReason === 'sandbox_crashed')}`,
        '/file',
        '/deployments',
        '/deployments/new',
        '/deployments/github?tool=search_issues',
        '/deployments/github?tab=connect',
        '/deployments/github?tab=sessions',
        '/deployments/github?tab=settings',
        '/pool',
        '/logs',
        '/nowhere',
      ]
      const page = await stand.page('/', { colorScheme })
      const complaints: string[] = []
      page.on('console', message => message.type() === 'error' && complaints.push(message.text()))
      page.on('pageerror', error => complaints.push(String(error)))
      for (const path of paths) {
        await page.goto(`${stand.mock.origin}/console${path}`)
        await page.getByRole('heading', { level: 1 }).waitFor()
        await page.waitForFunction(() => !document.querySelector('.waiting'))
        assert.deepEqual(await axeFindings(page), [], path)
        assert.deepEqual(complaints, [], path)
      }
    })
  }

  test('an empty Conductor says on each page what is missing, why, and what to do', async () => {
    const page = await stand.page('/', { mock: empty })
    for (const [path, title, action] of [
      ['/', 'Nothing is deployed', 'Deploy a server'],
      ['/sessions', 'No sessions yet', 'Choose a deployment to try'],
      ['/deployments', 'Nothing is deployed', 'Deploy a server'],
      ['/pool', 'The pool is empty', 'Deploy a server'],
      ['/logs', 'Nothing was logged yet', null],
    ] as const) {
      await page.goto(`${empty.origin}/console${path}`)
      const box = page.locator('.empty', { hasText: title })
      await box.waitFor()
      if (action) assert.equal(await box.getByRole('link', { name: action }).count(), 1, path)
      assert.deepEqual(await axeFindings(page), [], path)
    }
  })

  test('the pool says why it holds as many as it does, and what was left over', async () => {
    const page = await stand.page('/pool')
    await page.getByText('6.4 sessions a minute, 2.3 at a time, replaced in 121 ms; 4 keep misses below 1 in 5,300.').waitFor()
    await page.getByText('Last start of broken failed:').waitFor()
    assert.match(
      await seenIn(page.getByLabel('The pool now')),
      /Warm\s*4\s*3 of them frozen[\s\S]*Memory\s*\d+ MiB\s*of 12 GiB, 3 evictions/,
    )
    const left = page.getByRole('region', { name: 'Left over' })
    assert.match(await seenIn(left), /Nothing/)

    const pool = { ...stand.mock.world.pool(), leaks: { processes: 2, mounts: 0, cgroups: 1, files: 0 } }
    await page.route('**/v1/pool', route => route.fulfill({ json: pool }))
    await page.reload()
    await left.getByText('3 things').waitFor()
    assert.match(await seenIn(left), /Processes\s*2\s*Mounts\s*0\s*Control groups\s*1/)
    assert.deepEqual(await axeFindings(page), [])
  })

  test('a page that does not exist is told apart from one that may not be seen', async () => {
    const page = await stand.page('/sessions/ses_0mh0000000000000nope')
    await page.getByText('There is no such session').waitFor()
    await page.goto(`${stand.mock.origin}/console/deployments/nope`)
    await page.getByText('There is no such deployment').waitFor()
  })

  test('moving to a page says its name and puts the focus on its heading', async () => {
    const page = await stand.page('/pool')
    await page.getByRole('link', { name: 'Deployments' }).click()
    await until(
      // The link that was clicked has the same text.
      () => page.evaluate(() => `${document.activeElement?.tagName} ${document.activeElement?.textContent}`),
      text => text === 'H1 Deployments',
      'focused',
    )
    assert.equal(await page.title(), 'Deployments · Switchboard')
    await until(
      () => seenIn(page.locator('.only-heard[role=status]')),
      text => text === 'Deployments',
      'announced',
    )
  })

  test('the first key stop is a link past the navigation', async () => {
    const page = await stand.page('/pool')
    await page.keyboard.press('Tab')
    assert.equal(await page.evaluate(() => document.activeElement?.textContent), 'Skip to content')
    await page.keyboard.press('Enter')
    assert.equal(await page.evaluate(() => document.activeElement?.id), 'content')
  })

  test('keys go to pages and show themselves, but rest in text fields', async () => {
    const page = await stand.page('/sessions')
    await page.keyboard.press('?')
    const help = page.getByRole('dialog', { name: 'Keys' })
    await help.getByText('Next session').waitFor()
    assert.deepEqual(await axeFindings(page), [])
    await page.keyboard.press('Escape')
    await help.waitFor({ state: 'detached' })

    await page.keyboard.press('/')
    await page.keyboard.type('g d?')
    assert.equal(await page.getByLabel('Search sessions').inputValue(), 'g d?')
    assert.equal(await page.getByRole('dialog').count(), 0)
    await page.keyboard.press('Escape')
    await page.keyboard.press('g')
    await page.keyboard.press('d')
    await page.getByRole('heading', { name: 'Deployments' }).waitFor()
  })

  test('the palette finds pages, deployments and sessions', async () => {
    const page = await stand.page('/pool')
    await page.keyboard.press('Control+k')
    const field = page.getByRole('combobox', { name: /Page, deployment/ })
    await field.fill('everyth deployment')
    await page.getByRole('option', { name: /everything Deployment/ }).waitFor()
    assert.deepEqual(await axeFindings(page), [])
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'everything', level: 1 }).waitFor()

    await page.keyboard.press('Control+k')
    await field.fill('soak-test')
    await page.getByRole('option', { name: /soak-test.*Session/ }).click()
    await page.waitForURL(/\/sessions\/ses_/)
  })

  test('the theme goes round and is remembered', async () => {
    const page = await stand.page('/pool')
    const ground = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor)
    const light = await ground()
    await page.getByRole('button', { name: 'Theme: system. Change to light' }).click()
    await page.getByRole('button', { name: 'Theme: light. Change to dark' }).click()
    const dark = await ground()
    assert.notEqual(dark, light)
    await page.reload()
    await page.getByRole('heading', { name: 'Pool' }).waitFor()
    assert.equal(await ground(), dark)
  })

  test('with the stream of hints away the console polls and says so', async () => {
    const page = await stand.page('/pool')
    await page.getByText('Live', { exact: true }).waitFor()
    await page.route('**/v1/events', route => route.abort())
    await page.reload()
    await page.getByText('Polling', { exact: true }).waitFor()
  })

  test('an error says what, why, what next, and the request id', async () => {
    const page = await stand.page('/deployments')
    await page.route('**/v1/pool', route =>
      route.fulfill({
        status: 503,
        contentType: 'application/problem+json',
        body: JSON.stringify({
          type: 'x',
          title: 'x',
          status: 503,
          code: 'store_unavailable',
          detail: 'The database went away.',
          hint: 'Run `maestro doctor`.',
          retry: 'never',
          request_id: 'req_0000000000000000test',
        }),
      }),
    )
    await page.goto(`${stand.mock.origin}/console/pool`)
    const alert = page.getByRole('alert')
    assert.match(await seenIn(alert), /Could not read the pool[\s\S]*database went away[\s\S]*maestro doctor[\s\S]*req_0000/)
    await alert.getByRole('button', { name: 'Copy request id' }).waitFor()
    assert.deepEqual(await axeFindings(page), [])
  })

  test('the first load stays under 200 KB gzipped', async () => {
    const page = await stand.page()
    const loaded = await page.evaluate(() =>
      performance
        .getEntriesByType('resource')
        .map(entry => new URL(entry.name).pathname)
        .filter(path => /\.(js|css)$/.test(path)),
    )
    const files = new Set(loaded.map(path => path.replace('/console/', '')))
    let bytes = 0
    for (const file of files) bytes += gzipSync(readFileSync(join(stand.dist, file))).length
    assert.ok(files.size > 2 && bytes < 200_000, `${bytes} bytes in ${[...files].join(', ')}`)
  })

  test('index.html carries no inline script, style or foreign address', () => {
    const html = readFileSync(join(stand.dist, 'index.html'), 'utf8')
    assert.doesNotMatch(html, /<style|<script(?![^>]*\bsrc=)|https?:\/\//)
  })
})
