import { StringDecoder } from 'node:string_decoder'

export interface ServerSentEvent {
  /** Null where the event bears none. */
  id: string | null
  data: string
  retryMs: number | null
}

const charsMax = 256 * 1024 * 1024

/** Reads an event stream. An event cut off by the end of the stream is dropped, as the standard says. https://html.spec.whatwg.org/#parsing-an-event-stream */
export async function* serverSentEvents(body: AsyncIterable<Uint8Array>): AsyncGenerator<ServerSentEvent> {
  const decoder = new StringDecoder('utf8')
  let rest = ''
  let event: { id: string | null; data: string[]; retryMs: number | null } = { id: null, data: [], retryMs: null }
  for await (const chunk of body) {
    rest += decoder.write(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength))
    if (rest.length > charsMax) throw new Error('The server sent an event that never ends.')
    // A carriage return at the very end may be the first half of a line break.
    const usable = rest.endsWith('\r') ? rest.length - 1 : rest.length
    const lines = rest.slice(0, usable).split(/\r\n|\n|\r/)
    rest = (lines.pop() ?? '') + rest.slice(usable)
    for (const line of lines) {
      if (line === '') {
        if (event.data.length > 0 || event.id !== null || event.retryMs !== null) yield { ...event, data: event.data.join('\n') }
        event = { id: null, data: [], retryMs: null }
        continue
      }
      const colon = line.indexOf(':')
      const field = colon < 0 ? line : line.slice(0, colon)
      const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1)
      if (field === 'data') event.data.push(value)
      else if (field === 'id' && !value.includes('\0')) event.id = value
      else if (field === 'retry' && /^\d+$/.test(value)) event.retryMs = Number(value)
    }
  }
}
