import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { SandboxId } from '@maestro/contract'
import type { SandboxDriver, SandboxSpec } from '../../sandbox/sandbox.ts'
import type { Upstream } from '../../session/stages.ts'

/** Runs a server as a plain child process, without a sandbox, and counts the starts. For tests of what happens before there is one. */
export function nodeDriver(): SandboxDriver & { started: SandboxSpec[] } {
  const started: SandboxSpec[] = []
  return {
    name: 'process',
    started,
    check: async () => ({ usable: true, detail: 'plain child processes', weaknesses: [] }),
    async start(spec) {
      started.push(spec)
      return nodeUpstream(spec.id, [join(spec.bundle, spec.program.entry), ...spec.args], spec.env)
    },
    close: async () => {},
  }
}

export function nodeUpstream(id: SandboxId, args: string[], env: Readonly<Record<string, string>> = {}): Upstream {
  const child = spawn(process.execPath, args, { env, stdio: ['pipe', 'pipe', 'pipe'] })
  let stderr = ''
  let closed = false
  child.stderr.on('data', chunk => {
    stderr += chunk
  })
  child.stdin.on('error', () => {})
  const exited = new Promise<Awaited<Upstream['exited']>>(resolve =>
    child.once('close', (code, signal) =>
      resolve({ code, signal, reason: closed ? 'closed' : 'sandbox_crashed', stderrTail: stderr.slice(-4096) }),
    ),
  )
  return {
    id,
    driver: 'process',
    pendingBytes: 0,
    send: frame => void child.stdin.write(Buffer.concat([frame, Buffer.from('\n')])),
    onFrame: listener => void createInterface({ input: child.stdout }).on('line', line => listener(Buffer.from(line))),
    onEvent: () => {},
    pause: () => {},
    resume: () => {},
    exited,
    async close() {
      closed = true
      child.kill('SIGKILL')
      await exited
    },
  }
}
