/** The lines of a body as they arrive. A line may come in pieces, and a piece may hold many. */
export async function* linesOf(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  const reader = body.getReader()
  let rest = ''
  try {
    while (true) {
      const { done, value } = await reader.read()
      if (done) break
      const parts = (rest + decoder.decode(value, { stream: true })).split(/\r\n|\n|\r/)
      rest = parts.pop() ?? ''
      yield* parts
    }
    if (rest) yield rest
  } finally {
    // Whoever stops reading early also stops the server from writing.
    void reader.cancel().catch(() => {})
  }
}
