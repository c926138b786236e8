const lineBytesMax = 256 * 1024 * 1024

/** The lines of a byte stream, without their breaks, byte for byte. What stands behind the last break is a line too. */
export async function* lines(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let parts: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of stream) {
    let from = 0
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, from)) {
      parts.push(chunk.subarray(from, at))
      yield trimmed(Buffer.concat(parts))
      parts = []
      bytes = 0
      from = at + 1
    }
    if (from === chunk.length) continue
    parts.push(chunk.subarray(from))
    bytes += chunk.length - from
    if (bytes > lineBytesMax) throw new Error(`A line is longer than ${lineBytesMax} bytes.`)
  }
  if (parts.length > 0) yield trimmed(Buffer.concat(parts))
}

const trimmed = (line: Buffer) => (line.at(-1) === 13 ? line.subarray(0, -1) : line)
