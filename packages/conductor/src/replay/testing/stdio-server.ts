import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { SandboxId } from '@maestro/contract'
import type { Exit } from '../../sandbox/sandbox.ts'
import type { Upstream } from '../../session/stages.ts'

/** A real server process over standard input and output, with nothing around it. */
export function stdioServer(script: string, args: string[]): Upstream {
  const child = spawn(process.execPath, [script, ...args], { stdio: ['pipe', 'pipe', 'ignore'] })
  let isAsked = false
  const exited = new Promise<Exit>(resolve => {
    child.on('exit', (code, signal) => resolve({ code, signal, reason: isAsked ? 'closed' : 'sandbox_crashed', stderrTail: '' }))
  })
  const lines = createInterface({ input: child.stdout })
  return {
    id: 'sbx_00000000000000000001' as SandboxId,
    driver: 'test',
    pendingBytes: 0,
    send: frame => void child.stdin.write(Buffer.concat([frame, Buffer.from('\n')])),
    onFrame: listener => void lines.on('line', line => listener(new TextEncoder().encode(line))),
    onEvent() {},
    pause() {},
    resume() {},
    exited,
    async close() {
      isAsked = true
      child.kill('SIGKILL')
      await exited
    },
  }
}
