import assert from 'node:assert/strict'
import test from 'node:test'
import type { RunningConductor } from '@maestro/conductor'
import { clientConfiguration } from './client-configuration.ts'
import { deployFirstServer } from './first-server.ts'

function conductor(deployed: string[], deploy: () => Promise<void>) {
  const asked: unknown[] = []
  const running = {
    deployments: async () => deployed.map(name => ({ name })),
    deploy: async (request: unknown) => {
      asked.push(request)
      await deploy()
    },
  } as unknown as RunningConductor
  return { running, asked }
}

test('a first server is deployed only where there is none', async () => {
  const empty = conductor([], async () => {})
  await deployFirstServer(empty.running, () => {})
  assert.deepEqual(empty.asked, [{ source: '@modelcontextprotocol/server-everything', name: 'everything' }])
  const used = conductor(['mine'], async () => {})
  await deployFirstServer(used.running, () => {})
  assert.deepEqual(used.asked, [])
})

test('without a network Conductor starts all the same, and says how to go on', async () => {
  const notes: string[] = []
  const { running } = conductor([], async () => {
    throw new Error('The package registry cannot be reached.')
  })
  await deployFirstServer(running, text => notes.push(text))
  assert.match(notes.join('\n'), /cannot be reached/)
  assert.match(notes.join('\n'), /maestro deploy @modelcontextprotocol\/server-everything/)
})

test('the configuration for clients works from anywhere', () => {
  const { stdio, http } = clientConfiguration('x', 'http://127.0.0.1:1/mcp/x', 'tok', {
    node: '/n',
    maestro: '/m',
    dataFolder: '/d',
  })
  assert.deepEqual(stdio.mcpServers['x'], { command: '/n', args: ['/m', 'connect', 'x', '--data', '/d'] })
  assert.equal(http.mcpServers['x']?.headers.Authorization, 'Bearer tok')
})
