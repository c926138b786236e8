import { duration } from './format.ts'
import type { Out } from './out.ts'

const quietMs = 1_000

/** Says what is going on once it takes longer than a second, and how long it took. All on standard error. */
export async function withProgress<T>(out: Out, what: string, work: () => Promise<T>): Promise<T> {
  const startedMs = performance.now()
  let said = false
  const timer = setTimeout(() => {
    said = true
    out.note(`${what} …`)
  }, quietMs)
  try {
    const result = await work()
    if (said) out.note(`${what}: done in ${duration(performance.now() - startedMs)}`)
    return result
  } finally {
    clearTimeout(timer)
  }
}
