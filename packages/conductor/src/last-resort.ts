import type { World } from './world.ts'

/** So many mistakes within a minute are no accident any more. */
const mistakesMax = 20
const windowMs = 60_000

/**
 * Takes what nobody caught, a thrown error or a rejected promise, which Node would end the process for. It is our mistake and is
 * logged as one, but it was made for one client or one server, and everybody else's sessions go on. Where mistakes keep coming,
 * nothing can be trusted to go on: `onBroken` is called, once. Returns what takes the listener away.
 */
export function catchUncaught(
  world: World,
  onBroken: () => void,
  source: Pick<NodeJS.EventEmitter, 'on' | 'off'> = process,
): () => void {
  let recentMs: number[] = []
  let isBroken = false
  const take = (error: unknown, origin: string) => {
    world.log.error('process.uncaught', error, { origin })
    const nowMs = world.monotonicMs()
    recentMs = [...recentMs.filter(ms => nowMs - ms < windowMs), nowMs]
    if (isBroken || recentMs.length < mistakesMax) return
    isBroken = true
    world.log.error('process.broken', new Error(`${recentMs.length} uncaught errors within ${windowMs / 1000} s`))
    onBroken()
  }
  // Rejections come this way too, as nobody listens to them by themselves.
  source.on('uncaughtException', take)
  return () => void source.off('uncaughtException', take)
}
