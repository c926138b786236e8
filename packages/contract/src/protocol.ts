/** MCP revisions with `initialize` and sessions, newest first. https://modelcontextprotocol.io/specification */
export const sessionRevisions = ['2025-11-25', '2025-06-18', '2025-03-26'] as const
export type SessionRevision = (typeof sessionRevisions)[number]

/** The revision whose requests stand alone. */
export const statelessRevision = '2026-07-28'
export type StatelessRevision = typeof statelessRevision

export type ProtocolRevision = SessionRevision | StatelessRevision

/** How a session came about: by `initialize`, or as the logical trace that stateless requests share. */
export type Era = 'session' | 'stateless'

/** `inward`: from client to server. `outward`: from server to client. */
export type Direction = 'inward' | 'outward'
