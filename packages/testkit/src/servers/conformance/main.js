#!/usr/bin/env node
/** `main.js` serves stdio; `main.js http [port]` serves Streamable HTTP on 127.0.0.1 and prints its URL. */
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js'
import { serveHttp } from './http.js'
import { openConformanceServer } from './server.js'

const [face = 'stdio', port = '0'] = process.argv.slice(2)
if (face === 'http') {
  const { url } = await serveHttp(openConformanceServer, Number(port))
  console.log(url)
} else {
  await openConformanceServer().connect(new StdioServerTransport())
}
