/**
 * Reads the operator key from `#key=…` once and takes it out of the URL and its history entry.
 * A fragment never reaches a server, so the key was in no log on its way here.
 */
export function takeKeyFromUrl(): string | null {
  const match = /^#key=([^&]+)$/.exec(location.hash)
  if (!match) return null
  history.replaceState(history.state, '', location.pathname + location.search)
  return decodeURIComponent(match[1]!)
}
