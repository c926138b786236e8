import type { SpanContext } from '@opentelemetry/api'

const shape = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/

/** Reads a W3C `traceparent` (https://www.w3.org/TR/trace-context/). Untrusted; anything odd is no parent. */
export function parentOf(traceparent: string | null): SpanContext | null {
  const match = traceparent === null ? null : shape.exec(traceparent)
  if (!match) return null
  const [, traceId, spanId, flags] = match as unknown as [string, string, string, string]
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return null
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true }
}

export function traceparentOf({ traceId, spanId, traceFlags }: SpanContext): string {
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`
}
