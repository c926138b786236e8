/** Programs of MCP servers in one file without dependencies, so that a bundle can hold them. */

/** Answers what it is asked, in the order asked. `answers` maps a method to the text of its result, or to an error. */
export const scriptedServer = (answers: string): string => `#!/usr/bin/env node
const answers = ${answers}
require('node:readline').createInterface({ input: process.stdin }).on('line', line => {
  const { id, method, params } = JSON.parse(line)
  if (id === undefined) return
  const answer = answers[method]
  const said = typeof answer === 'function' ? answer(params) : answer
  if (said === 'silence') return
  const body = said === undefined ? { error: { code: -32601, message: 'Method not found' } } : said.error ? said : { result: said }
  process.stdout.write(JSON.stringify({ jsonrpc: '2.0', id, ...body }) + '\\n')
})
`

/** One tool, answers ping at any time. */
export const plainServer = scriptedServer(`{
  ping: {},
  initialize: { protocolVersion: '2025-11-25', serverInfo: { name: 'plain', version: '1.0.0' }, capabilities: { tools: {} } },
  'tools/list': { tools: [{ name: 'echo', inputSchema: { type: 'object' } }] },
}`)

/** One tool, in Python of the standard library alone; `more` is put in front. */
export const pythonServer = (more = '', text = '"hello"'): string => `${more}
import json
import sys


def main():
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message:
            continue
        results = {
            "initialize": {"protocolVersion": "2025-11-25", "serverInfo": {"name": "snake", "version": "1"}, "capabilities": {"tools": {}}},
            "tools/list": {"tools": [{"name": "say", "inputSchema": {"type": "object"}}]},
            "tools/call": lambda: {"content": [{"type": "text", "text": ${text}}]},
            "ping": {},
        }
        result = results.get(message["method"])
        result = result() if callable(result) else result
        answer = {"error": {"code": -32601, "message": "Method not found"}} if result is None else {"result": result}
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **answer}))


if __name__ == "__main__":
    main()
`
