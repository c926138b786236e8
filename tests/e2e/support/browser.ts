import { existsSync } from 'node:fs'
import { type Browser, chromium } from 'playwright-core'

const path = process.env['CHROMIUM_PATH'] ?? '/usr/bin/chromium'

/** Why there is no browser to test with, or false. For `test(name, { skip }, …)`. */
export const withoutBrowser: string | false = existsSync(path)
  ? false
  : `no Chromium at ${path}: apt-get install chromium, or set CHROMIUM_PATH`

/** Debian's Chromium, headless, without anything that reaches out by itself. */
export function openBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: path,
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
}
