import assert from 'node:assert/strict'
import { after, afterEach, before, suite, test } from 'node:test'
import { readRecording } from '@maestro/logic'
import { hostileTape } from '../mock/recordings.ts'
import type { Mock } from '../mock/server.ts'
import { Stand, seenIn, skip, until } from './browser.ts'

suite('sessions', { skip }, () => {
  let stand: Stand
  before(async () => {
    stand = await Stand.open()
  })
  afterEach(() => stand.clear())
  after(() => stand.close())

  const sessionId = (is: (session: Mock['world']['sessions'][number]) => boolean) => stand.mock.world.sessions.find(is)!.id
  const sample = () => sessionId(session => session.errors === 2 && session.deploymentName === 'github')

  test('j, k and enter walk the list and open a session', async () => {
    const page = await stand.page('/sessions')
    await page.getByRole('row').nth(1).waitFor()
    const focused = () => page.evaluate(() => document.activeElement?.getAttribute('title'))
    const ids = stand.mock.world.sessions.map(session => session.id)
    await page.keyboard.press('j')
    await until(focused, id => id === ids[0], 'first row')
    await page.keyboard.press('j')
    await page.keyboard.press('j')
    await until(focused, id => id === ids[2], 'third row')
    await page.keyboard.press('k')
    await until(focused, id => id === ids[1], 'second row')
    await page.keyboard.press('Enter')
    await page.waitForURL(new RegExp(ids[1]!))
  })

  test('filters and search live in the URL, so a pasted link shows the same', async () => {
    const page = await stand.page('/sessions')
    await page.getByLabel('Deployment').selectOption('everything')
    await page.getByLabel('Search sessions').fill('soak')
    await page.waitForURL(/deployment=everything.*search=soak|search=soak.*deployment=everything/)
    const other = await stand.page(new URL(page.url()).pathname.replace('/console', '') + new URL(page.url()).search)
    await other.getByText('soak-test 0.1').waitFor()
    assert.equal(await other.getByLabel('Search sessions').inputValue(), 'soak')
    assert.equal(await other.getByRole('row').count(), 2)
  })

  test('scrolling to the end fetches older sessions, and only rows in sight are rendered', async () => {
    const page = await stand.page('/sessions')
    const oldest = stand.mock.world.sessions.at(-1)!
    const scroller = page.locator('.fills')
    await until(
      async () => {
        await scroller.evaluate(element => element.scrollTo(0, element.scrollHeight))
        return page.locator(`a[title="${oldest.id}"]`).count()
      },
      found => found === 1,
      'oldest session in sight',
    )
    assert.ok((await page.getByRole('row').count()) < 70)
  })

  test('a new session is counted and does not move the list until asked for', async () => {
    const page = await stand.page('/sessions')
    await page.getByText('Live', { exact: true }).waitFor()
    const first = () => page.getByRole('row').nth(1).getByRole('link').first().getAttribute('title')
    const top = await first()
    const session = stand.mock.world.addSession(stand.mock.world.github, 0)
    stand.mock.hint('session', session.id)
    const notice = page.getByRole('button', { name: 'Show 1 new session' })
    await notice.waitFor()
    assert.equal(await first(), top)
    await notice.click()
    await until(first, id => id === session.id, 'the new session on top')
  })

  test('paused, nothing moves; resumed, it catches up', async () => {
    const page = await stand.page('/sessions')
    await page.getByRole('button', { name: 'Pause live updates' }).click()
    await page.getByText('Paused', { exact: true }).waitFor()
    const session = stand.mock.world.addSession(stand.mock.world.github, 0)
    stand.mock.hint('session', session.id)
    await page.getByRole('button', { name: 'Resume live updates' }).click()
    await page.getByRole('button', { name: /Show \d+ new session/ }).waitFor()
  })

  test('the timeline makes one row of request, progress and answer, and shows its parts', async () => {
    const page = await stand.page(`/sessions/${sample()}`)
    const call = page.getByRole('treeitem', { name: /longRunning/ }).first()
    assert.match(await seenIn(call), /5 messages/)
    assert.equal(await call.getAttribute('aria-expanded'), 'true')
    assert.equal(await page.getByRole('treeitem', { name: /progress/ }).count(), 4)
    await call.click()
    await page.keyboard.press('ArrowLeft')
    await until(
      () => page.getByRole('treeitem', { name: /progress/ }).count(),
      count => count === 0,
      'folded',
    )
    const asked = page.getByRole('treeitem', { name: /create_issue/ }).first()
    assert.deepEqual(await asked.locator('.bar > i').evaluateAll(parts => parts.map(part => part.getAttribute('data-is'))), [
      'working',
      'asking',
      'working',
    ])
  })

  test('a link to an answer selects the row it belongs to', async () => {
    const page = await stand.page(`/sessions/${sample()}?at=f8&tab=output`)
    await page.getByRole('heading', { name: 'search_issues' }).waitFor()
    assert.equal(await page.getByRole('treeitem', { selected: true }).count(), 1)
    await page.getByRole('tabpanel', { name: 'Output' }).getByText('Checkout fails on Safari').first().waitFor()
  })

  test('keys move through the timeline, and the selected row is in the URL', async () => {
    const page = await stand.page(`/sessions/${sample()}`)
    await page.getByRole('treeitem').first().waitFor()
    await page.keyboard.press('j')
    await page.keyboard.press('j')
    await page.waitForURL(/at=f1\b/)
    await page.getByRole('heading', { name: 'initialize' }).waitFor()
    await page.keyboard.press('Escape')
    await page.waitForURL(url => !url.search.includes('at='))
  })

  test('search counts matches and steps through them', async () => {
    const page = await stand.page(`/sessions/${sample()}`)
    await page.getByRole('treeitem').first().waitFor()
    await page.keyboard.press('/')
    await page.keyboard.type('acme/app')
    await page.getByText('3 matches').waitFor()
    await page.keyboard.press('Enter')
    await page.getByText('1 of 3').waitFor()
    await page.getByRole('button', { name: 'Next match' }).click()
    await page.getByText('2 of 3').waitFor()
    await page.getByLabel('only matches').check()
    await until(
      () => page.getByRole('treeitem').count(),
      count => count === 3,
      'rows',
    )
  })

  test('only errors leaves the failed rows', async () => {
    const page = await stand.page(`/sessions/${sample()}`)
    await page.getByRole('button', { name: /^Errors/ }).click()
    await page.waitForURL(/only=errors/)
    await until(
      () => page.getByRole('treeitem').count(),
      count => count === 3,
      'rows',
    )
    await page.getByRole('treeitem', { name: /delete_repo.*denied/ }).waitFor()
  })

  test('a frame is shown byte for byte with both clocks', async () => {
    const page = await stand.page(`/sessions/${sample()}?at=f6&tab=frames`)
    const frame = page.getByRole('region', { name: 'Frame 6' })
    const text = await seenIn(frame.locator('pre'))
    const record = stand.mock.world.tapes.get(sample())!.records[6]!
    assert.ok(record.kind === 'frame')
    assert.equal(text, new TextDecoder().decode(record.bytes))
    assert.match(await seenIn(frame), new RegExp(record.monotonicUs.toLocaleString('en')))
    await frame.getByRole('button', { name: 'Hex' }).click()
    assert.match(await seenIn(frame.locator('pre')), /^00000000 {2}7b 22 6a 73/)
  })

  test('divider and zoom obey the keyboard', async () => {
    const page = await stand.page(`/sessions/${sample()}`)
    const divider = page.getByRole('separator', { name: 'Width of the left panel' })
    const before = Number(await divider.getAttribute('aria-valuenow'))
    await divider.focus()
    await page.keyboard.press('ArrowRight')
    assert.equal(Number(await divider.getAttribute('aria-valuenow')), before + 2)
    await page.keyboard.press('+')
    await page.waitForURL(/zoomFrom=\d+&zoomTo=\d+/)
    const rows = await page.getByRole('treeitem').count()
    await page.keyboard.press('0')
    await until(
      () => page.getByRole('treeitem').count(),
      count => count > rows,
      'rows of the whole session',
    )
  })

  test('dragging over the minimap zooms to that part', async () => {
    const page = await stand.page(`/sessions/${sample()}`)
    const box = (await page.getByRole('group', { name: /Time axis/ }).boundingBox())!
    await page.mouse.move(box.x + box.width * 0.5, box.y + 10)
    await page.mouse.down()
    await page.mouse.move(box.x + box.width * 0.75, box.y + 10, { steps: 4 })
    await page.mouse.up()
    await page.waitForURL(/zoomFrom=\d+&zoomTo=\d+/)
    const { searchParams } = new URL(page.url())
    assert.ok(Number(searchParams.get('zoomFrom')) > 3_000_000)
  })

  test('eight thousand frames are a list of a few rows', async () => {
    const page = await stand.page(`/sessions/${sessionId(session => session.subject === 'load')}`)
    await page.getByRole('treeitem').first().waitFor()
    assert.ok((await page.getByRole('treeitem').count()) < 80)
    await page.getByRole('tree').focus()
    await page.keyboard.press('End')
    await page.getByRole('treeitem', { name: /session ended/ }).waitFor()
  })

  test('a replay tells its verdict and leads to the frame that differs', async () => {
    const page = await stand.page(`/sessions/${sessionId(session => session.client === 'inspector 2.12.0')}`)
    await page.getByRole('treeitem').first().waitFor()
    await page.keyboard.press('r')
    const panel = page.getByRole('region', { name: 'Replay' })
    await panel.getByRole('button', { name: 'Replay again' }).click()
    await panel.getByText('Running the release in a fresh sandbox').waitFor()
    await panel.getByText('16 of 18 frames from the server came again.').waitFor()
    assert.match(await seenIn(panel), /\/result\/structuredContent\/issues\/1\/assignee/)
    await panel.getByRole('button', { name: 'frame 6' }).click()
    await page.getByRole('region', { name: 'Frame 6' }).waitFor()
  })

  test('an identical replay says so', async () => {
    const page = await stand.page(`/sessions/${sample()}?panel=replay`)
    await page.getByText('All 18 frames from the server came again, in order.').waitFor()
  })

  test('an open session grows as frames come, and closing it asks first', async () => {
    const id = sessionId(session => session.state === 'ready')
    const page = await stand.page(`/sessions/${id}`)
    await page.getByRole('treeitem').first().waitFor()
    stand.mock.world.tapes.get(id)!.after(500).ask('tools/call', { name: 'just_now', arguments: {} }, 3, { result: {} })
    stand.mock.hint('session', id)
    await page.getByRole('treeitem', { name: /just_now/ }).waitFor()

    await page.getByRole('button', { name: 'Close session' }).click()
    const question = page.getByRole('alertdialog')
    assert.match(await seenIn(question), new RegExp(id))
    await question.getByRole('button', { name: 'Keep it' }).click()
    assert.equal(stand.mock.world.sessions.find(session => session.id === id)!.state, 'ready')
    await page.getByRole('button', { name: 'Close session' }).click()
    await question.getByRole('button', { name: 'Close session' }).click()
    await page.getByText('Closed', { exact: true }).first().waitFor()
  })

  test('a dropped recording is read in the browser and never uploaded', async () => {
    const page = await stand.page('/sessions')
    const sent: string[] = []
    page.on('request', request => request.method() !== 'GET' && sent.push(request.url()))
    const bytes = [...stand.mock.world.tapes.get(sample())!.bytes()]
    const drop = (name: string, content: number[]) =>
      page.evaluate(
        ({ name, content }) => {
          const data = new DataTransfer()
          data.items.add(new File([Uint8Array.from(content)], name))
          for (const type of ['dragover', 'drop']) {
            document.body.dispatchEvent(new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true }))
          }
        },
        { name, content },
      )
    await drop('notes.mcrec', [1, 2, 3])
    assert.match(await seenIn(page.getByRole('alert')), /recording_unreadable/)
    await drop('sample.mcrec', bytes)
    await page.waitForURL(/\/console\/file/)
    await page.getByText('sample.mcrec, read in this browser').waitFor()
    await page
      .getByRole('treeitem', { name: /search_issues/ })
      .first()
      .click()
    await page.getByRole('heading', { name: 'search_issues' }).waitFor()
    assert.deepEqual(sent, [])
  })

  test('a hostile recording is shown row by row and takes nothing down', async () => {
    const page = await stand.page('/file')
    const complaints: string[] = []
    page.on('pageerror', error => complaints.push(String(error)))
    const { header } = readRecording(stand.mock.world.tapes.get(sample())!.bytes())
    const chooser = page.waitForEvent('filechooser')
    await page.getByRole('button', { name: 'Choose a file…' }).click()
    await (await chooser).setFiles({
      name: 'hostile.mcrec',
      mimeType: 'application/octet-stream',
      buffer: Buffer.from(hostileTape(header).bytes()),
    })
    await page.getByRole('treeitem').first().waitFor()
    const rows = await page.getByRole('treeitem').count()
    assert.ok(rows >= 10, `${rows} rows`)
    for (let row = 0; row < rows; row++) {
      await page.keyboard.press('j')
      await page.getByRole('region', { name: 'Selected row' }).waitFor()
      for (const tab of await page.getByRole('tab').all()) await tab.click()
    }
    assert.deepEqual(complaints, [])
    assert.equal(await page.locator('main img').count(), 0)
  })

  test('a recording that was cut off is shown as far as it goes, and says so', async () => {
    const page = await stand.page('/file')
    const whole = stand.mock.world.tapes.get(sample())!.bytes()
    const chooser = page.waitForEvent('filechooser')
    await page.getByRole('button', { name: 'Choose a file…' }).click()
    await (await chooser).setFiles({
      name: 'torn.mcrec',
      mimeType: 'application/octet-stream',
      buffer: Buffer.from(whole.slice(0, -70)),
    })
    await page.getByText(/was cut off and has no end/).waitFor()
    await page
      .getByRole('treeitem', { name: /initialize/ })
      .first()
      .waitFor()
  })
})
