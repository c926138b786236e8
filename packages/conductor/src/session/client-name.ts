/** Name and version as the client gave them, or null. Untrusted. */
export function clientName(clientInfo: unknown): string | null {
  const info = clientInfo as { name?: unknown; version?: unknown } | null | undefined
  if (typeof info?.name !== 'string') return null
  return `${info.name} ${typeof info.version === 'string' ? info.version : ''}`.trim().slice(0, 128)
}
