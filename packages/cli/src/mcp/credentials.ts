import type { Client } from '../client.ts'

export interface Endpoint {
  url: string
  /** Null for a server that is none of ours. */
  token: string | null
}

/** Where to speak to, with a token that still holds for a while. */
export interface Credentials {
  current(): Promise<Endpoint>
  /** Drops what there is: it was refused, or its Conductor went away. */
  drop(): void
}

/** Tokens for one deployment, minted through the API and renewed before they expire, also across a restart of Conductor. */
export function deploymentCredentials(deployment: string, subject: string, findClient: () => Promise<Client>): Credentials {
  let held: Held | null = null
  async function mint(into: Held): Promise<Endpoint> {
    const client = await findClient()
    const { token, mcpUrl, expiresAt } = await client.call('mintToken', { body: { deployment, subject } })
    into.renewAt = expiresAt - Math.min(60_000, (expiresAt - Date.now()) / 5)
    return { url: mcpUrl, token }
  }
  return {
    async current() {
      if (held?.endpoint && Date.now() < held.renewAt) return held.endpoint
      const next: Held = { endpoint: null, renewAt: Number.POSITIVE_INFINITY }
      held = next
      next.endpoint = mint(next)
      // A failure is told to who waits for it, and tried again by who comes next.
      next.endpoint.catch(() => {
        if (held === next) held = null
      })
      return next.endpoint
    },
    drop: () => {
      held = null
    },
  }
}

interface Held {
  endpoint: Promise<Endpoint> | null
  /** Unix ms. */
  renewAt: number
}

export const openEndpoint = (url: string): Credentials => ({ current: async () => ({ url, token: null }), drop: () => {} })
