/** What one sandbox may do with the network. */
export interface EgressLimits {
  /** Bytes it may send, and receive, in all. */
  upBytesMax: number
  downBytesMax: number
  /** Connections at once. */
  connectionsMax: number
  /** Connections in all, refused ones counted: each is an event on the tape. */
  connectionsTotalMax: number
  /** Connections a second, over a while. So many seconds' worth may come at once. */
  connectionsPerSecond: number
  /** A connection over which nothing goes. */
  idleMsMax: number
  /** A connection, however busy. */
  lifeMsMax: number
  /** The head of a request. */
  headBytesMax: number
  /** Time for the head of a request, or the first bytes inside a tunnel, to arrive. */
  headMsMax: number
}

const MiB = 1024 * 1024

export const defaultEgressLimits: EgressLimits = {
  upBytesMax: 1024 * MiB,
  downBytesMax: 4096 * MiB,
  connectionsMax: 128,
  connectionsTotalMax: 10_000,
  connectionsPerSecond: 50,
  idleMsMax: 5 * 60_000,
  lifeMsMax: 6 * 3_600_000,
  headBytesMax: 32 * 1024,
  headMsMax: 10_000,
}

/** So many seconds' worth of connections may come at once. */
export const connectionBurstSeconds = 4
