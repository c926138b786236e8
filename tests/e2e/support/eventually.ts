import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Asks again until `probe` gives something true, and returns that. Throws with the last answer (or the last error)
 * when `withinMs` have passed.
 */
export async function eventually<T>(
  what: string,
  probe: () => T | Promise<T>,
  withinMs = 10_000,
): Promise<Exclude<T, null | undefined | false>> {
  const deadline = performance.now() + withinMs
  for (;;) {
    let last: unknown
    try {
      const answer = await probe()
      if (answer !== null && answer !== undefined && answer !== false) return answer as Exclude<T, null | undefined | false>
      last = answer
    } catch (error) {
      last = error
    }
    if (performance.now() > deadline) {
      throw new Error(`not within ${withinMs} ms: ${what} (last: ${last instanceof Error ? last.message : JSON.stringify(last)})`)
    }
    await sleep(25)
  }
}
