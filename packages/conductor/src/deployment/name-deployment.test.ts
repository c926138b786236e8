import assert from 'node:assert/strict'
import test from 'node:test'
import { nameDeployment } from './name-deployment.ts'

const npm = (name: string) => nameDeployment({ kind: 'npm', package: name, version: '1.0.0' })

test('an npm package is called what a person would call it', () => {
  assert.equal(npm('@modelcontextprotocol/server-everything'), 'everything')
  assert.equal(npm('@playwright/mcp'), 'playwright')
  assert.equal(npm('firecrawl-mcp'), 'firecrawl')
  assert.equal(npm('exa-mcp-server'), 'exa')
  assert.equal(npm('mcp-server-fetch'), 'fetch')
  assert.equal(npm('server'), 'server')
})

test('any source gives a name that the API accepts', () => {
  const name = /^[a-z0-9][a-z0-9-]{0,62}$/
  for (const source of [
    { kind: 'folder', path: '/srv/My Server!' },
    { kind: 'folder', path: '/srv/———' },
    { kind: 'remote', url: 'https://mcp.example.com/v1' },
    { kind: 'recording', session: 'ses_0mb2k3l4m5n6o7p8q9r0' },
  ] as const) {
    assert.match(nameDeployment(source), name)
  }
})
