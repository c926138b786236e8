import { type Attributes, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-proto'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto'
import { resourceFromAttributes } from '@opentelemetry/resources'
import { type IMetricReader, MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics'
import { BatchSpanProcessor, type SpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import type { RequestFacts, RequestSpan, Telemetry } from '../session/stages.ts'
import type { World } from '../world.ts'
import { durationBuckets, semconv } from './semconv.ts'
import { parentOf, traceparentOf } from './traceparent.ts'

export interface Exporters {
  spans: SpanProcessor
  metrics: IMetricReader
}

/** OTLP over HTTP; endpoint, headers and intervals come from the standard `OTEL_EXPORTER_OTLP_…` variables. */
export const otlpExporters = (): Exporters => ({
  spans: new BatchSpanProcessor({ exporter: new OTLPTraceExporter() }),
  metrics: new PeriodicExportingMetricReader({ exporter: new OTLPMetricExporter() }),
})

/**
 * Spans and metrics by the MCP semantic conventions. Attributes carry names and codes, never arguments or results:
 * what a client or a server says stays on the tape.
 */
export function createTelemetry(version: string, world: World, exporters: Exporters): Telemetry & { close(): Promise<void> } {
  const resource = resourceFromAttributes({ 'service.name': 'maestro-conductor', 'service.version': version })
  const tracerProvider = new TracerProvider({ resource, spanProcessors: [exporters.spans] })
  const meterProvider = new MeterProvider({ resource, readers: [exporters.metrics] })
  const tracer = tracerProvider.getTracer('maestro-conductor', version)
  const meter = meterProvider.getMeter('maestro-conductor', version)
  const advice = { explicitBucketBoundaries: durationBuckets }
  const operationDuration = meter.createHistogram(semconv.operationDuration, { unit: 's', advice })
  const sessionDuration = meter.createHistogram(semconv.sessionDuration, { unit: 's', advice })

  return {
    startRequest(facts) {
      const parent = parentOf(facts.traceparent)
      const context = parent ? trace.setSpanContext(ROOT_CONTEXT, parent) : ROOT_CONTEXT
      const measured = measuredAttributes(facts)
      const span = tracer.startSpan(
        facts.name === null ? facts.method : `${facts.method} ${facts.name}`,
        {
          kind: SpanKind.SERVER,
          attributes: {
            ...measured,
            [semconv.session]: facts.session,
            [semconv.requestId]: facts.requestId,
            [semconv.deployment]: facts.deployment,
          },
        },
        context,
      )
      const startedMs = world.monotonicMs()
      return {
        traceparent: traceparentOf(span.spanContext()),
        end(errorType) {
          const outcome: Attributes = errorType === null ? {} : { [semconv.errorType]: errorType }
          if (errorType !== null) {
            span.setAttributes(/^-?\d+$/.test(errorType) ? { ...outcome, [semconv.rpcStatus]: errorType } : outcome)
            span.setStatus({ code: SpanStatusCode.ERROR })
          }
          span.end()
          operationDuration.record((world.monotonicMs() - startedMs) / 1000, { ...measured, ...outcome })
        },
      } satisfies RequestSpan
    },
    sessionEnded({ era, protocolVersion, durationMs, errorType }) {
      sessionDuration.record(durationMs / 1000, {
        [semconv.era]: era,
        ...(protocolVersion === null ? {} : { [semconv.protocolVersion]: protocolVersion }),
        ...(errorType === null ? {} : { [semconv.errorType]: errorType }),
      })
    },
    async close() {
      await Promise.allSettled([tracerProvider.shutdown(), meterProvider.shutdown()])
    },
  }
}

/** Low-cardinality facts, shared by span and metric. */
function measuredAttributes(facts: RequestFacts): Attributes {
  return {
    [semconv.method]: facts.method,
    [semconv.transport]: facts.transport,
    ...(facts.protocolVersion === null ? {} : { [semconv.protocolVersion]: facts.protocolVersion }),
    ...(facts.name === null
      ? {}
      : facts.method === 'prompts/get'
        ? { [semconv.prompt]: facts.name }
        : { [semconv.tool]: facts.name }),
    ...(facts.method === 'tools/call' ? { [semconv.operation]: 'execute_tool' } : {}),
  }
}
