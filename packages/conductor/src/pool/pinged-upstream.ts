import type { Upstream } from '../session/stages.ts'
import { AwaitedUpstream } from './awaited-upstream.ts'

const pingId = 'maestro-warm'
const pingFrame = Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: pingId, method: 'ping' }))
const pingMark = Buffer.from(`"${pingId}"`)
/** An answer to ping is small; a larger frame is not looked into. */
const answerBytesMax = 4096

/**
 * An upstream that was asked for a sign of life before anybody leased it (`ping`, MCP revision 2025-11-25, may come before initialize).
 * The answer, error or not, tells that the server reads and writes.
 */
export class PingedUpstream extends AwaitedUpstream {
  constructor(inner: Upstream, onAnswer: () => void) {
    super(inner, onAnswer)
    inner.send(pingFrame)
  }

  protected isSign(frame: Uint8Array): boolean {
    const bytes = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength)
    if (bytes.length > answerBytesMax || !bytes.includes(pingMark)) return false
    try {
      const message: unknown = JSON.parse(bytes.toString('utf8'))
      return typeof message === 'object' && message !== null && 'id' in message && message.id === pingId && !('method' in message)
    } catch {
      return false
    }
  }
}
