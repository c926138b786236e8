import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/**
 * Starts a sandbox as a user who is nobody, and asks the server in it for the name of its system. Says why not where this machine does not
 * allow an ordinary user that, or where the repository lies in a folder that only root may enter.
 */
export async function answerAsNobody(driver: 'bubblewrap' | 'gvisor'): Promise<{ value: unknown } | { skip: string }> {
  const nobody = { uid: 65_534, gid: 65_534, cwd: '/', env: { PATH: process.env['PATH'] ?? '' } }
  try {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [fileURLToPath(new URL('./ask-system.ts', import.meta.url)), driver],
      nobody,
    )
    return JSON.parse(stdout)
  } catch (failure) {
    if (/EACCES|ERR_MODULE_NOT_FOUND/.test(String(failure))) return { skip: 'the repository is not readable by others' }
    throw failure
  }
}
