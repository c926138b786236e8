import type { FastifyReply } from 'fastify'

/** How much may wait for a slow reader before it is cut off; it can ask again. */
const waitingBytesMax = 4 * 1024 * 1024

/**
 * Takes the response over for a stream of text. `write` never blocks: a reader that falls behind is cut off.
 * `onClose` runs once, whoever ends the stream.
 */
export function openStream(
  reply: FastifyReply,
  contentType: string,
  onClose: () => void,
): { write(text: string): void; end(): void } {
  reply.hijack()
  const { raw } = reply
  raw.writeHead(200, { 'content-type': contentType, 'cache-control': 'no-store', 'x-accel-buffering': 'no' })
  raw.flushHeaders()
  raw.once('close', onClose)
  return {
    write: text => {
      if (raw.writableEnded || raw.destroyed) return
      raw.write(text)
      if (raw.writableLength > waitingBytesMax) raw.destroy()
    },
    end: () => raw.end(),
  }
}
