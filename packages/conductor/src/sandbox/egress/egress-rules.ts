import type { EgressLimits } from './egress-limits.ts'

/** What the operator of this machine says of the network, for every sandbox alike. */
export interface EgressRules {
  /** Private addresses and ranges that deployments may reach where their allow-list names them too. */
  allowPrivate?: readonly string[]
  limits?: Partial<EgressLimits>
  /** Whether this is where Conductor itself listens. */
  isOwn?: (address: string, port: number) => boolean
  /** Name resolution; the system's where it is left out. */
  resolve?: (host: string) => Promise<string[]>
  /** Certificates to trust when connections are recorded, beside those of Node and of the system. */
  trusted?: readonly string[]
}
