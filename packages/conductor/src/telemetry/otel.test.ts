import assert from 'node:assert/strict'
import test from 'node:test'
import type { SessionId } from '@maestro/contract'
import { AggregationTemporality, InMemoryMetricExporter, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics'
import { InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace'
import { realWorld } from '../world.ts'
import { createLog } from './logger.ts'
import { createTelemetry } from './otel.ts'

const world = realWorld(createLog(() => 0, []))
const call = {
  session: 'ses_0000000000000000test' as SessionId,
  deployment: 'everything',
  method: 'tools/call',
  name: 'echo',
  requestId: '7',
  protocolVersion: '2025-11-25',
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  transport: 'pipe',
} as const

function observed() {
  const spans = new InMemorySpanExporter()
  const metrics = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const reader = new PeriodicExportingMetricReader({ exporter: metrics, exportIntervalMillis: 3_600_000 })
  const telemetry = createTelemetry('0.0.0', world, { spans: new SimpleSpanProcessor({ exporter: spans }), metrics: reader })
  return { spans, metrics, reader, telemetry }
}

test('a call becomes a server span under the client’s own trace, named and described by the MCP conventions', async () => {
  const { spans, telemetry } = observed()
  const span = telemetry.startRequest(call)
  assert.match(span.traceparent, /^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-01$/)
  span.end(null)
  const [finished] = spans.getFinishedSpans()
  assert.equal(finished?.name, 'tools/call echo')
  assert.equal(finished.parentSpanContext?.spanId, 'b7ad6b7169203331')
  assert.deepEqual(finished.attributes, {
    'mcp.method.name': 'tools/call',
    'mcp.protocol.version': '2025-11-25',
    'mcp.session.id': call.session,
    'jsonrpc.request.id': '7',
    'gen_ai.operation.name': 'execute_tool',
    'gen_ai.tool.name': 'echo',
    'network.transport': 'pipe',
    'maestro.deployment.name': 'everything',
  })
  await telemetry.close()
})

test('a failed call carries its error type, and the JSON-RPC code where it is one', async () => {
  const { spans, telemetry } = observed()
  telemetry.startRequest({ ...call, traceparent: 'not a traceparent' }).end('-32602')
  telemetry.startRequest(call).end('tool_error')
  const [rpc, tool] = spans.getFinishedSpans()
  assert.equal(rpc?.attributes['error.type'], '-32602')
  assert.equal(rpc?.attributes['rpc.response.status_code'], '-32602')
  assert.equal(rpc?.parentSpanContext, undefined)
  assert.equal(tool?.attributes['error.type'], 'tool_error')
  assert.equal(tool?.attributes['rpc.response.status_code'], undefined)
  await telemetry.close()
})

test('operations and sessions are measured in seconds, without ids that would make every series unique', async () => {
  const { metrics, reader, telemetry } = observed()
  telemetry.startRequest(call).end(null)
  telemetry.sessionEnded({ era: 'session', protocolVersion: '2025-11-25', durationMs: 1500, errorType: null })
  await reader.forceFlush()
  const found = metrics.getMetrics().flatMap(resource => resource.scopeMetrics.flatMap(scope => scope.metrics))
  assert.deepEqual(
    found.map(metric => [metric.descriptor.name, metric.descriptor.unit]),
    [
      ['mcp.server.operation.duration', 's'],
      ['mcp.server.session.duration', 's'],
    ],
  )
  for (const metric of found)
    for (const point of metric.dataPoints) assert.ok(!JSON.stringify(point.attributes).includes(call.session))
  await telemetry.close()
})
