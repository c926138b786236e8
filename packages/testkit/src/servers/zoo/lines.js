/** Calls back with each line of a stream. Not `readline`: that also splits at U+2028 and U+2029, which JSON may hold. */
export function onLine(stream, take) {
  let rest = ''
  stream.setEncoding('utf8').on('data', text => {
    const lines = (rest + text).split('\n')
    rest = lines.pop()
    for (const line of lines) take(line)
  })
}
