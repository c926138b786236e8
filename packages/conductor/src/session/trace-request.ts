import type { SessionId } from '@maestro/contract'
import { editMeta, type Frame, splice } from '@maestro/logic'
import type { RequestSpan, Runnable, Telemetry } from './stages.ts'

/** Starts the span of one request, under the trace context the client put into `params._meta` (SEP-414). */
export function startSpan(
  telemetry: Telemetry,
  frame: Frame,
  { session, runnable, protocolVersion }: { session: SessionId; runnable: Runnable; protocolVersion: string | null },
): RequestSpan {
  const meta = frame.message.params?.['_meta'] as { traceparent?: unknown } | undefined
  return telemetry.startRequest({
    session,
    deployment: runnable.name,
    method: frame.method as string,
    name: frame.name,
    requestId: String(frame.id),
    protocolVersion,
    traceparent: typeof meta?.traceparent === 'string' ? meta.traceparent : null,
    transport: runnable.runs.kind === 'remote' ? 'tcp' : 'pipe',
  })
}

/** The frame as it goes on to the server: under our span instead of the client's. */
export function withTrace(frame: Frame, span: RequestSpan): Uint8Array {
  return splice(frame.bytes, editMeta(frame, { set: { traceparent: JSON.stringify(span.traceparent) } }))
}

/** What a span ends with: null for success, a JSON-RPC code, or `tool_error` for a result that says it failed. */
export function errorTypeOf(frame: Frame): string | null {
  if (!frame.isError) return null
  const error = frame.message['error'] as { code?: unknown } | undefined
  if (!error) return 'tool_error'
  // Not String(value): an object of the server's may have a `toString` that is no function, and that would throw.
  return typeof error.code === 'number' || typeof error.code === 'string' ? String(error.code).slice(0, 16) : 'unknown'
}
