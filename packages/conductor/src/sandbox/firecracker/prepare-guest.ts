import type { World } from '../../world.ts'
import type { GuestChannel, GuestStart } from '../guest/channel.ts'

const entropyBytes = 64
/** An agent that listens answers at once; a guest that was tampered with may never. */
const answerMsMax = 5000

/**
 * Makes a guest itself after a restore, and only then tells it anything that is one session’s own. A restored guest has the clock and
 * the random state of its snapshot, as all its twins have: what it did with a secret before it was given its own would be the same in
 * all of them. Without a `start` the guest holds a loaded program, which goes on then. The kernel’s own notice of a restore (VMGenID) comes at a moment nobody outside can see, so we wait for our entropy.
 */
export async function prepareGuest(channel: GuestChannel, start: GuestStart | null, world: World): Promise<void> {
  const cancel = world.after(answerMsMax, () => channel.destroy())
  try {
    await prepare(channel, start, world)
  } finally {
    cancel()
  }
}

async function prepare(channel: GuestChannel, start: GuestStart | null, world: World): Promise<void> {
  const state = await channel.attach()
  if (state !== (start ? 'booted' : 'held')) throw new Error(`a guest that is ${state} before it was told anything`)
  channel.setClock(BigInt(Math.round(world.now())) * 1_000_000n)
  channel.addEntropy(world.randomBytes(entropyBytes))
  await channel.ping()
  if (start) channel.start(start)
  else channel.resume()
}
