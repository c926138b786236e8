import { connect, isIP, type Socket } from 'node:net'
import type { World } from '../../world.ts'

const dialMsMax = 10_000

/** Connects to addresses that were checked; the name is never asked for again. Null where none answers in time. */
export function dial(world: World, addresses: readonly string[], port: number): Promise<Socket | null> {
  const list = addresses.map(address => ({ address, family: isIP(address) }))
  return new Promise(done => {
    const socket = connect({
      host: list.length === 1 ? list[0]!.address : 'checked.invalid',
      port,
      allowHalfOpen: true,
      autoSelectFamily: true,
      lookup: (_name, _options, callback) => callback(null, list),
    })
    const cancel = world.after(dialMsMax, () => socket.destroy())
    socket.on('error', () => socket.destroy())
    socket.once('connect', () => {
      cancel()
      done(socket)
    })
    socket.once('close', () => {
      cancel()
      done(null)
    })
  })
}
