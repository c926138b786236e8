/**
 * The whole list of what can go wrong. `status` is the HTTP status, `retry` the advice to a program
 * (`never`: the same request fails again; `same`: it may be sent again as it is; `later`: after a pause),
 * `rpc` the JSON-RPC code when the error crosses MCP (outside -32768..-32000 unless the MCP revision names one).
 * Docs, CLI exit codes and console sentences are generated from it; `errors.pin.test.ts` freezes codes and statuses.
 */
export const errorTable = {
  // Asking wrongly
  request_malformed: {
    status: 400,
    retry: 'never',
    rpc: -32600,
    exit: 2,
    hint: 'Send what the API description at /v1/openapi.json asks for.',
  },
  frame_malformed: { status: 400, retry: 'never', rpc: -32700, exit: 1, hint: 'Send one JSON-RPC 2.0 message as UTF-8 JSON.' },
  frame_invalid: {
    status: 400,
    retry: 'never',
    rpc: -32600,
    exit: 1,
    hint: 'Send a JSON-RPC 2.0 request, notification or response.',
  },
  frame_too_large: { status: 413, retry: 'never', rpc: -32600, exit: 1, hint: 'Send less, or raise MAESTRO_FRAME_BYTES_MAX.' },
  content_type_unsupported: { status: 415, retry: 'never', rpc: -32600, exit: 1, hint: 'Send Content-Type: application/json.' },
  accept_unsupported: {
    status: 406,
    retry: 'never',
    rpc: -32600,
    exit: 1,
    hint: 'Accept both application/json and text/event-stream.',
  },
  method_not_allowed: {
    status: 405,
    retry: 'never',
    rpc: -32600,
    exit: 1,
    hint: 'Use POST; GET and DELETE belong to sessions of 2025-11-25 and earlier.',
  },
  protocol_version_unsupported: {
    status: 400,
    retry: 'never',
    rpc: -32600,
    exit: 1,
    hint: 'Use one of the protocol revisions named in the message.',
  },
  header_mismatch: {
    status: 400,
    retry: 'never',
    rpc: -32020,
    exit: 1,
    hint: 'Repeat the body’s method, name and version in the Mcp-* headers.',
  },
  origin_denied: {
    status: 403,
    retry: 'never',
    rpc: -32600,
    exit: 5,
    hint: 'Add the web origin to MAESTRO_ORIGINS if a page of yours must reach this server.',
  },
  host_denied: {
    status: 403,
    retry: 'never',
    rpc: -32600,
    exit: 5,
    hint: 'Reach the server by the address it printed, or add the name to MAESTRO_HOSTS.',
  },
  not_found: { status: 404, retry: 'never', rpc: -32601, exit: 1, hint: 'See /v1/openapi.json for what exists.' },
  conflict: { status: 409, retry: 'never', rpc: -32600, exit: 1, hint: 'Look at what is there first, then choose another name.' },

  // Being allowed
  capability_missing: {
    status: 401,
    retry: 'never',
    rpc: -32001,
    exit: 4,
    hint: 'Send Authorization: Bearer with a token from `maestro token <deployment>`.',
  },
  capability_invalid: {
    status: 401,
    retry: 'never',
    rpc: -32001,
    exit: 4,
    hint: 'Ask for a new token with `maestro token <deployment>`.',
  },
  capability_expired: {
    status: 401,
    retry: 'never',
    rpc: -32001,
    exit: 4,
    hint: 'Tokens live 15 minutes. Ask for a new one with `maestro token <deployment>`.',
  },
  capability_insufficient: {
    status: 403,
    retry: 'never',
    rpc: -32003,
    exit: 5,
    hint: 'Ask for a token whose deployment and tools include this call.',
  },
  operator_required: {
    status: 401,
    retry: 'never',
    rpc: -32001,
    exit: 4,
    hint: 'Sign in with the console URL, or run the CLI as the user who started Conductor.',
  },

  // Finding things
  deployment_not_found: { status: 404, retry: 'never', rpc: -32004, exit: 1, hint: 'List what runs with `maestro deployments`.' },
  release_not_found: {
    status: 404,
    retry: 'never',
    rpc: -32004,
    exit: 1,
    hint: 'List releases with `maestro deployments --json`.',
  },
  session_not_found: {
    status: 404,
    retry: 'never',
    rpc: -32004,
    exit: 1,
    hint: 'The session ended or never was. Initialize again; list with `maestro sessions`.',
  },
  replay_not_found: { status: 404, retry: 'never', rpc: -32004, exit: 1, hint: 'Start one with `maestro replay <session>`.' },
  secret_not_found: {
    status: 404,
    retry: 'never',
    rpc: -32004,
    exit: 1,
    hint: 'Set it with `maestro secret set <name>`; the value is read from standard input.',
  },

  // Installing a release
  source_invalid: {
    status: 400,
    retry: 'never',
    rpc: -32602,
    exit: 2,
    hint: 'Name an npm package, pypi:<package>, a folder, a program file, an https URL, or a session to serve from its recording.',
  },
  package_not_found: {
    status: 404,
    retry: 'never',
    rpc: -32602,
    exit: 1,
    hint: 'Check name and version with `npm view <package> versions`, or `python3 -m pip index versions <package>`.',
  },
  package_integrity_failed: {
    status: 422,
    retry: 'never',
    rpc: -32602,
    exit: 1,
    hint: 'What arrived is not what a lockfile or an index names. Do not run it; report it to the registry.',
  },
  package_not_runnable: {
    status: 422,
    retry: 'never',
    rpc: -32602,
    exit: 1,
    hint: 'The package offers no single program. Name one with --bin.',
  },
  install_failed: {
    status: 502,
    retry: 'later',
    rpc: -32603,
    exit: 1,
    hint: 'See the message for what npm or pip said, and `maestro doctor` for whether their registries answer.',
  },
  runtime_missing: {
    status: 503,
    retry: 'never',
    rpc: -32012,
    exit: 1,
    hint: 'Install Python 3.10 or newer with pip 22.2 or newer (Debian and Ubuntu: apt-get install python3 python3-pip), then deploy again.',
  },
  manifest_failed: {
    status: 422,
    retry: 'never',
    rpc: -32603,
    exit: 1,
    hint: 'The server did not answer its first run. See its standard error above, or pass what it needs with --env or after --.',
  },
  remote_unreachable: {
    status: 502,
    retry: 'later',
    rpc: -32011,
    exit: 1,
    hint: 'Check that the URL speaks MCP over Streamable HTTP.',
  },

  // Running a session
  pool_exhausted: {
    status: 503,
    retry: 'later',
    rpc: -32010,
    exit: 1,
    hint: 'All sandboxes are leased. Retry after `retry_after_ms`, or raise MAESTRO_SANDBOXES_MAX.',
  },
  sandbox_unavailable: {
    status: 503,
    retry: 'never',
    rpc: -32012,
    exit: 1,
    hint: 'Run `maestro doctor`: it says what this machine lacks and how to mend it.',
  },
  image_build_failed: {
    status: 503,
    retry: 'later',
    rpc: -32012,
    exit: 1,
    hint: 'Guest images are made on Debian with apt-get, dpkg-deb and mke2fs; mend what the message names and run `maestro image build`.',
  },
  sandbox_start_failed: {
    status: 502,
    retry: 'later',
    rpc: -32012,
    exit: 1,
    hint: 'See the server’s standard error with `maestro logs`.',
  },
  sandbox_crashed: { status: 502, retry: 'same', rpc: -32013, exit: 1, hint: 'See the last frames with `maestro session show`.' },
  sandbox_limit_reached: {
    status: 502,
    retry: 'never',
    rpc: -32014,
    exit: 1,
    hint: 'The server used more memory, processes or output than its deployment allows.',
  },
  server_timeout: {
    status: 504,
    retry: 'later',
    rpc: -32015,
    exit: 1,
    hint: 'The server did not answer in time. See its last frames with `maestro session show`.',
  },
  server_garbled: {
    status: 502,
    retry: 'never',
    rpc: -32016,
    exit: 1,
    hint: 'The server printed something else than JSON-RPC on standard output.',
  },
  server_refused: {
    status: 502,
    retry: 'never',
    rpc: -32019,
    exit: 1,
    hint: 'The server answered initialize with an error. See it with `maestro session show`.',
  },
  session_required: {
    status: 400,
    retry: 'never',
    rpc: -32600,
    exit: 1,
    hint: 'Send initialize first, then the Mcp-Session-Id of its answer with every request.',
  },
  session_closed: { status: 404, retry: 'never', rpc: -32004, exit: 1, hint: 'Initialize a new session.' },
  session_lost: {
    status: 404,
    retry: 'never',
    rpc: -32004,
    exit: 1,
    hint: 'The server could not be brought back to where it was. Initialize a new session.',
  },
  session_overloaded: {
    status: 429,
    retry: 'later',
    rpc: -32010,
    exit: 1,
    hint: 'The session holds as many open requests or unread bytes as it may. Read what is there, then retry.',
  },
  stub_miss: {
    status: 404,
    retry: 'never',
    rpc: -32017,
    exit: 3,
    hint: 'The recording holds no such call; `data.nearest` names the closest one.',
  },

  // Recording and replaying
  recording_unavailable: {
    status: 507,
    retry: 'later',
    rpc: -32018,
    exit: 1,
    hint: 'The tape cannot be written; is the disk full? No session runs unrecorded.',
  },
  recording_unreadable: {
    status: 422,
    retry: 'never',
    rpc: -32602,
    exit: 1,
    hint: 'The file is not a recording, or of a newer format. Upgrade, or fetch it again.',
  },
  replay_impossible: {
    status: 422,
    retry: 'never',
    rpc: -32602,
    exit: 1,
    hint: 'Only sessions of a release that runs in a sandbox here can be re-executed; use a stub instead.',
  },

  // Ourselves
  port_busy: {
    status: 500,
    retry: 'never',
    rpc: -32603,
    exit: 1,
    hint: 'Choose another with --port, or stop what listens there.',
  },
  data_locked: {
    status: 500,
    retry: 'never',
    rpc: -32603,
    exit: 1,
    hint: 'Another Conductor uses this data folder. Stop it with `maestro stop`, or name another with --data.',
  },
  config_invalid: {
    status: 500,
    retry: 'never',
    rpc: -32603,
    exit: 2,
    hint: 'Correct the setting named in the message; `maestro help config` lists them all.',
  },
  store_unavailable: {
    status: 503,
    retry: 'later',
    rpc: -32603,
    exit: 1,
    hint: 'The database does not answer. Run `maestro doctor`.',
  },
  store_incompatible: {
    status: 500,
    retry: 'never',
    rpc: -32603,
    exit: 1,
    hint: 'Run the PostgreSQL or the Conductor version named in the message; nothing was changed.',
  },
  conductor_unreachable: { status: 503, retry: 'later', rpc: -32603, exit: 1, hint: 'Start it with `maestro up`.' },
  conductor_draining: {
    status: 503,
    retry: 'later',
    rpc: -32603,
    exit: 1,
    hint: 'Conductor is shutting down. Retry when it is back.',
  },
  internal: { status: 500, retry: 'same', rpc: -32603, exit: 1, hint: 'This is our mistake. Report it with the request id.' },
} as const satisfies Record<string, ErrorFacts>

export interface ErrorFacts {
  status: number
  retry: 'never' | 'same' | 'later'
  rpc: number
  exit: number
  hint: string
}

export type ErrorCode = keyof typeof errorTable

export class ConductorError extends Error {
  override readonly name = 'ConductorError'
  readonly code: ErrorCode
  /** Safe to log and to show: never secrets, never payload. */
  readonly facts: Readonly<Record<string, string | number>>

  constructor(code: ErrorCode, message: string, facts: Record<string, string | number> = {}, cause?: unknown) {
    super(message, { cause })
    this.code = code
    this.facts = facts
  }
}

/** RFC 9457 problem details, the body of every API error. */
export interface Problem {
  type: string
  title: string
  status: number
  code: ErrorCode
  detail: string
  hint: string
  retry: 'never' | 'same' | 'later'
  request_id: string
  [fact: string]: string | number
}

export function problemOf(error: ConductorError, requestId: string): Problem {
  const { status, retry, hint } = errorTable[error.code]
  return {
    ...error.facts,
    type: `/docs/reference/errors#${error.code}`,
    title: error.code.replaceAll('_', ' '),
    status,
    code: error.code,
    detail: error.message,
    hint,
    retry,
    request_id: requestId,
  }
}

/** The `error` member of a JSON-RPC response for a failure of the platform; a server's own errors pass untouched. */
export function rpcErrorOf(error: ConductorError): { code: number; message: string; data: Record<string, unknown> } {
  const { rpc, hint, retry } = errorTable[error.code]
  return { code: rpc, message: error.message, data: { ...error.facts, code: error.code, hint, retry } }
}

/** For our own mistakes, never for the caller's. A failed invariant stops the session, not the process. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`invariant: ${message}`)
}

export function unreachable(value: never): never {
  throw new Error(`invariant: unhandled case ${JSON.stringify(value)}`)
}
