import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { eventually } from './eventually.ts'

export interface ServerProcess extends AsyncDisposable {
  readonly url: string
  readonly child: ChildProcess
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** Starts an HTTP MCP server as a process of this test and waits until its port answers. */
export async function startServerProcess(
  program: string,
  args: readonly string[],
  port: number,
  env: Record<string, string> = {},
): Promise<ServerProcess> {
  const child = spawn(program, args, { stdio: 'ignore', env: { ...process.env, ...env } })
  const url = `http://127.0.0.1:${port}/mcp`
  const stop = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
  }
  try {
    await eventually(
      `${args[0]} listens`,
      () => {
        if (child.exitCode !== null) throw new Error(`it exited with ${child.exitCode}`)
        return fetch(url, { method: 'OPTIONS' }).then(
          () => true,
          () => false,
        )
      },
      20_000,
    )
  } catch (error) {
    await stop()
    throw error
  }
  return { url, child, [Symbol.asyncDispose]: stop }
}
