import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Browser, chromium, type Locator, type Page } from 'playwright-core'
import { build } from 'vite'
import { cookie, type Mock, startMock } from '../mock/server.ts'

const executablePath = process.env['CHROMIUM_PATH'] ?? '/usr/bin/chromium'

/** Why the browser tests cannot run here, or false. */
export const skip: string | false = existsSync(executablePath)
  ? false
  : `no Chromium at ${executablePath}; install it, or name one with CHROMIUM_PATH`

const axeSource = skip ? '' : readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const root = fileURLToPath(new URL('..', import.meta.url))

let built: Promise<string> | undefined

/** Builds what is in `src` now, once for all suites of a run, apart from the `dist` that others may be serving. */
function builtConsole(): Promise<string> {
  built ??= (async () => {
    const dist = mkdtempSync(join(tmpdir(), 'console-dist-'))
    process.on('exit', () => rmSync(dist, { recursive: true, force: true }))
    await build({ root, logLevel: 'error', build: { outDir: dist, emptyOutDir: true } })
    return dist
  })()
  return built
}

/** The console as it is now, built into a folder of its own, a mock that serves it, and a browser. */
export class Stand {
  readonly dist: string
  readonly browser: Browser
  readonly mock: Mock
  readonly #pages: Page[] = []

  private constructor(dist: string, browser: Browser, mock: Mock) {
    this.dist = dist
    this.browser = browser
    this.mock = mock
  }

  static async open(): Promise<Stand> {
    const dist = await builtConsole()
    const browser = await chromium.launch({
      executablePath,
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    })
    return new Stand(dist, browser, await startMock({ dist }))
  }

  /** A page of its own, signed in, at this path below /console. */
  async page(path = '/', { mock = this.mock, colorScheme = 'light' as 'light' | 'dark' } = {}): Promise<Page> {
    const context = await this.browser.newContext({ colorScheme, viewport: { width: 1360, height: 860 } })
    const page = await context.newPage()
    page.setDefaultTimeout(8_000)
    this.#pages.push(page)
    const [name = '', value = ''] = cookie.split('=')
    await context.addCookies([{ name, value, url: mock.origin }])
    await page.goto(`${mock.origin}/console${path}`)
    await page.getByRole('heading', { level: 1 }).waitFor()
    return page
  }

  /** Closes the pages of a test. */
  async clear(): Promise<void> {
    for (const page of this.#pages.splice(0)) await page.context().close()
  }

  async close(): Promise<void> {
    await this.clear()
    await this.browser.close()
    await this.mock.close()
  }
}

/** The text as people see it. */
export const seenIn = (locator: Locator): Promise<string> => locator.innerText()

/** What axe finds wrong on the page as it stands, one line per finding. */
export async function axeFindings(page: Page): Promise<string[]> {
  // Half-faded text is not what people read.
  await page.emulateMedia({ reducedMotion: 'reduce' })
  await page.evaluate(axeSource)
  return page.evaluate(async () => {
    const { axe } = window as unknown as { axe: { run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> } }
    const { violations } = await axe.run()
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map(node => node.html.slice(0, 160)).join(' | ')}`)
  })
}

/** Waits until `read` gives `wanted`, or fails saying what it gave last. */
export async function until<T>(read: () => T | Promise<T>, wanted: (value: T) => boolean, what: string): Promise<T> {
  const deadline = performance.now() + 8_000
  let last: T
  do {
    last = await read()
    if (wanted(last)) return last
    await new Promise(resolve => setTimeout(resolve, 50))
  } while (performance.now() < deadline)
  throw new Error(`${what}: got ${JSON.stringify(last)}`)
}
