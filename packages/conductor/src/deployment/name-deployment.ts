import { basename } from 'node:path'
import type { Source } from '@maestro/contract'

/** The name a deployment gets when nobody gave one: short, and what a person would call the server. */
export function nameDeployment(source: Source): string {
  switch (source.kind) {
    case 'npm':
      return clean(shorten(source.package))
    case 'pypi':
      return clean(shorten(source.package.split('[', 1)[0] ?? ''))
    case 'file':
      return clean(basename(source.path).replace(/\.(js|mjs|cjs|py|sh)$/, ''))
    case 'folder':
      return clean(basename(source.path))
    case 'remote':
      return clean(new URL(source.url).hostname)
    case 'recording':
      return clean(`stub-${source.session.slice(-8)}`)
  }
}

/** `@modelcontextprotocol/server-everything` → `everything`, `@playwright/mcp` → `playwright`. */
function shorten(packageName: string): string {
  const [scope, name] = packageName.startsWith('@') ? packageName.slice(1).split('/') : ['', packageName]
  const bare = (name ?? '').replace(/^(mcp-server|server|mcp)-/, '').replace(/-(mcp-server|server|mcp)$/, '')
  return /^(mcp|server|mcp-server)$/.test(bare) && scope ? scope : bare
}

function clean(text: string): string {
  const name = text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 63)
  return name === '' ? 'server' : name
}
