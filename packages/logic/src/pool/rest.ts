const firstRestMs = 250
const restMsMax = 60_000

/** How long to leave a release alone after so many failures in a row, ms: doubles from a quarter of a second to a minute. */
export function restMs(failures: number): number {
  return Math.min(restMsMax, firstRestMs * 2 ** Math.max(0, failures - 1))
}
