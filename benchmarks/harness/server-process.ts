import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { descendantsOf, isAlive } from '../../tests/e2e/support/processes.ts'
import { freePort } from '../../tests/e2e/support/server-process.ts'

export interface ServerProcess extends AsyncDisposable {
  readonly url: string
  readonly pid: number
}

const startMsMax = 30_000

/** Starts a program that is to listen on the port it is given, and waits until it does. Ends its whole tree. */
export async function startServerProcess(
  command: (port: number) => string[],
  env: (port: number) => Record<string, string> = () => ({}),
): Promise<ServerProcess> {
  const port = await freePort()
  const child = spawn(process.execPath, command(port), { stdio: 'ignore', env: { ...process.env, ...env(port) } })
  const deadline = performance.now() + startMsMax
  while (!(await accepts(port))) {
    if (child.exitCode !== null || performance.now() > deadline) {
      await end(child)
      throw new Error(`${command(port).join(' ')} does not listen on ${port} (exit code ${child.exitCode})`)
    }
    await sleep(50)
  }
  return { url: `http://127.0.0.1:${port}/mcp`, pid: child.pid!, [Symbol.asyncDispose]: () => end(child) }
}

async function end(child: ChildProcess): Promise<void> {
  const tree = descendantsOf(child.pid!)
  child.kill('SIGTERM')
  if (child.exitCode === null && child.signalCode === null) await Promise.race([once(child, 'exit'), sleep(1000)])
  for (const { pid } of tree) if (isAlive(pid)) process.kill(pid, 'SIGKILL')
}

function accepts(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
