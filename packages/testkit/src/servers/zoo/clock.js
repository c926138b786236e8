/** Reads the wall clock, in the forms a server does. */
export const animal = {
  tools: { now: () => Date.now(), iso: () => new Date().toISOString(), uptime: () => process.uptime() },
}
