import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { progress } from './progress.ts'

const folder = fileURLToPath(new URL('../peers', import.meta.url))
const modules = join(folder, 'node_modules')

/** The server every figure is about, and how its peers are started in front of it. */
export const server = { package: '@modelcontextprotocol/server-everything', version: '2026.8.31' }
export const everything = join(modules, server.package, 'dist', 'index.js')

export interface Peer {
  name: string
  version: string
  what: string
  command(port: number): string[]
}

const node = process.execPath

export const peers: readonly Peer[] = [
  {
    name: 'supergateway',
    version: '4.0.0',
    what: 'stdio → Streamable HTTP, one server process per session',
    command: port => [
      join(modules, 'supergateway/dist/index.js'),
      ...['--stdio', `${node} ${everything} stdio`, '--outputTransport', 'streamableHttp', '--stateful'],
      ...['--port', String(port), '--logLevel', 'none'],
    ],
  },
  {
    name: 'mcp-proxy',
    version: '6.7.19',
    what: 'stdio → Streamable HTTP, one server process for all sessions',
    command: port => [
      join(modules, 'mcp-proxy/dist/bin/mcp-proxy.mjs'),
      ...['--host', '127.0.0.1', '--port', String(port), '--server', 'stream', '--', node, everything, 'stdio'],
    ],
  },
]

/** Installs the peers from their own lockfile where they are missing. */
export function installPeers(): void {
  if (existsSync(join(modules, '.package-lock.json'))) return
  progress('installing the peers (npm ci in benchmarks/peers)')
  const { status, stderr } = spawnSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], {
    cwd: folder,
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`npm ci in ${folder} exited with ${status}: ${stderr}`)
}
