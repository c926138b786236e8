#!/usr/bin/env node
// Runs on any Node ≥ 18: where this one is too old, the pinned Node of the project takes over.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major > 24 || (major === 24 && minor >= 15)) {
  await import('../src/main.ts')
} else {
  const node = pinnedNode(dirname(fileURLToPath(import.meta.url)))
  if (node) runUnder(node)
  else {
    console.error(`maestro: this is Node ${process.versions.node}, and Node 24.15 or newer is needed.`)
    console.error('  hint: run `npm ci` in the project, which brings the right one along, or install Node 24.')
    process.exitCode = 1
  }
}

function pinnedNode(from) {
  const os = process.platform === 'win32' ? 'win' : process.platform
  const program = join(`node-${os}-${process.arch}`, 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
  for (let folder = from; ; folder = dirname(folder)) {
    const candidate = join(folder, 'node_modules', program)
    if (existsSync(candidate)) return candidate
    if (folder === dirname(folder)) return null
  }
}

function runUnder(node) {
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' })
  for (const signal of ['SIGTERM', 'SIGHUP', 'SIGINT']) {
    // On a terminal Ctrl-C reaches both of us by itself; passed on as well, it would count twice.
    process.on(signal, () => (signal === 'SIGINT' && process.stdin.isTTY) || child.kill(signal))
  }
  child.once('error', error => {
    console.error(`maestro: ${node} cannot be run: ${error.message}`)
    process.exitCode = 1
  })
  child.once('exit', (code, signal) => {
    process.exitCode = code ?? 128 + (signal === 'SIGINT' ? 2 : signal === 'SIGTERM' ? 15 : 9)
  })
}
