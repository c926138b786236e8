'use strict'
// A server for tests: answers `{"id", "eval"}` with what the code gives, and returns every other line as it came.
globalThis.require = require
let rest = Buffer.alloc(0)
process.stdin.on('data', chunk => {
  rest = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk
  for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
    void answer(rest.subarray(0, end + 1))
    rest = rest.subarray(end + 1)
  }
})
process.stdin.on('end', () => {
  if (!globalThis.stubborn) process.exit(0)
})

async function answer(line) {
  if (!line.subarray(0, 64).includes('"eval"')) {
    process.stdout.write(line)
    return
  }
  const { id, eval: code } = JSON.parse(line.toString('utf8'))
  let result
  try {
    // biome-ignore lint/security/noGlobalEval: running what the test asks for is what this server is for
    result = { id, value: await eval(`(async () => { ${code} })()`) }
  } catch (error) {
    result = { id, error: error.code ?? error.message }
  }
  process.stdout.write(`${JSON.stringify(result)}\n`)
}
