/** What the operator of this machine says of the network, for every sandbox alike. */
export interface EgressRules {
  /** Private addresses that may be reached all the same. */
  allowPrivate?: readonly string[]
  /** Name resolution; the system's where it is left out. */
  resolve?: (host: string) => Promise<string[]>
}
