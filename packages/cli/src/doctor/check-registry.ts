import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { type Check, failed, ok, unknown, weak } from './check.ts'

const run = promisify(execFile)
const timeoutMs = 15_000
const skewMsMax = 30_000

/** Whether packages can be fetched, by the pinned npm with the person's own configuration, and how far our clock is from the registry's. */
export async function checkRegistry(signal: AbortSignal): Promise<Check[]> {
  const npm = pinnedNpm()
  if (!npm) return [failed('npm', 'the pinned npm is missing', 'npm ci')]
  const ping = ['ping', '--fetch-retries=0', `--fetch-timeout=${timeoutMs}`, '--loglevel=http', '--no-update-notifier']
  const startedAt = Date.now()
  try {
    await run(process.execPath, [npm, ...ping], { timeout: timeoutMs, signal })
  } catch {
    signal.throwIfAborted()
    const mend = 'see `npm ping`; behind a proxy set https_proxy; what is installed goes on working'
    return [
      weak('npm registry', 'does not answer: nothing new can be installed from it', mend),
      unknown('clock', `nobody to compare with; it says ${new Date().toISOString()}`),
    ]
  }
  return [ok('npm registry', `answers in ${Date.now() - startedAt} ms`), await checkClock(npm, signal)]
}

/** Tokens and records need a clock that is right. */
async function checkClock(npm: string, signal: AbortSignal): Promise<Check> {
  const now = () => new Date().toISOString()
  try {
    const { stdout } = await run(process.execPath, [npm, 'config', 'get', 'registry'], { timeout: timeoutMs, signal })
    const response = await fetch(stdout.trim(), { method: 'HEAD', signal: AbortSignal.any([signal, AbortSignal.timeout(5_000)]) })
    const theirs = Date.parse(response.headers.get('date') ?? '')
    if (Number.isNaN(theirs)) return unknown('clock', `nobody to compare with; it says ${now()}`)
    const skewMs = Date.now() - theirs
    const detail = `${now()}, ${Math.abs(skewMs) < 2_000 ? 'right' : `${Math.round(Math.abs(skewMs) / 1000)} s ${skewMs > 0 ? 'ahead' : 'behind'}`}`
    return Math.abs(skewMs) > skewMsMax ? weak('clock', detail, 'sudo timedatectl set-ntp true') : ok('clock', detail)
  } catch {
    signal.throwIfAborted()
    return unknown('clock', `nobody to compare with; it says ${now()}`)
  }
}

function pinnedNpm(): string | null {
  for (let folder = import.meta.dirname; ; folder = dirname(folder)) {
    const candidate = join(folder, 'node_modules', 'npm', 'bin', 'npm-cli.js')
    if (existsSync(candidate)) return candidate
    if (folder === dirname(folder)) return null
  }
}
