/**
 * Names of the MCP and GenAI semantic conventions (open-telemetry/semantic-conventions-genai, docs/gen-ai/mcp.md,
 * commit 0393513, status Development). Kept here because the published constants are marked moved.
 */
export const semconv = {
  method: 'mcp.method.name',
  protocolVersion: 'mcp.protocol.version',
  session: 'mcp.session.id',
  requestId: 'jsonrpc.request.id',
  rpcStatus: 'rpc.response.status_code',
  errorType: 'error.type',
  operation: 'gen_ai.operation.name',
  tool: 'gen_ai.tool.name',
  prompt: 'gen_ai.prompt.name',
  transport: 'network.transport',
  deployment: 'maestro.deployment.name',
  era: 'maestro.era',
  operationDuration: 'mcp.server.operation.duration',
  sessionDuration: 'mcp.server.session.duration',
} as const

/** Bucket bounds in seconds the conventions ask for. */
export const durationBuckets = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300]
