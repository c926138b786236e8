import { spawn } from 'node:child_process'
import { ConductorError } from '@maestro/contract'
import type { World } from '../world.ts'

const outputBytesMax = 8 * 1024 * 1024

export interface ToolRun {
  /** What a person calls it. */
  name: string
  program: string
  args: readonly string[]
  env: Record<string, string>
  folder: string
  timeoutMs: number
  signal: AbortSignal
}

export interface ToolResult {
  code: number | null
  stdout: string
  stderr: string
}

/** Runs a package manager to its end. Throws `install_failed` where it does not start or takes too long; the signal's reason when aborted. */
export async function runTool(world: World, run: ToolRun): Promise<ToolResult> {
  const { name, signal, timeoutMs } = run
  signal.throwIfAborted()
  // Its own process group, so that an end reaches whatever it started, and Ctrl-C in a terminal reaches it only through us.
  const child = spawn(run.program, run.args, { cwd: run.folder, env: run.env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  const stdout = gather(child.stdout)
  const stderr = gather(child.stderr)
  let timedOut = false
  const kill = () => {
    if (child.pid === undefined) return
    try {
      process.kill(-child.pid, 'SIGKILL')
    } catch {
      // The group is gone already.
    }
  }
  const cancelTimeout = world.after(timeoutMs, () => {
    timedOut = true
    kill()
  })
  signal.addEventListener('abort', kill, { once: true })
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', resolve)
    }).catch(cause => {
      throw new ConductorError('install_failed', `${name} could not be started.`, {}, cause)
    })
    signal.throwIfAborted()
    if (timedOut) throw new ConductorError('install_failed', `${name} took longer than ${timeoutMs / 1000} s and was ended.`)
    return { code, stdout: stdout(), stderr: stderr() }
  } finally {
    cancelTimeout()
    signal.removeEventListener('abort', kill)
  }
}

function gather(stream: NodeJS.ReadableStream): () => string {
  const chunks: Buffer[] = []
  let bytes = 0
  stream.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes <= outputBytesMax) chunks.push(chunk)
  })
  return () => Buffer.concat(chunks).toString('utf8')
}
