import { connect } from 'node:net'
import type { Duplex } from 'node:stream'
import type { World } from '../../world.ts'
import { agentPort } from './guest-facts.ts'
import type { MicroVm } from './micro-vm.ts'

/** `OK `, a port of ten digits, the end of the line. */
const greetingBytesMax = 32

/**
 * A stream to a port of the guest through the socket that Firecracker keeps on the host: we name the port, it answers with ours, from
 * then on the bytes are the guest’s. It closes the socket where nobody in the guest listens. Source: Firecracker’s docs/vsock.md.
 */
export function connectVsock(path: string, port: number, msMax: number, world: World): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path })
    let greeting = Buffer.alloc(0)
    const cancel = world.after(msMax, () => fail(new Error(`no greeting from port ${port} of the guest within ${msMax} ms`)))
    const fail = (cause: Error) => {
      cancel()
      socket.destroy()
      reject(cause)
    }
    const closed = () => fail(new Error(`nobody listens on port ${port} of the guest`))
    const take = () => {
      const chunk = socket.read() as Buffer | null
      if (!chunk) return
      greeting = Buffer.concat([greeting, chunk])
      const end = greeting.indexOf(0x0a)
      if (end < 0 && greeting.length <= greetingBytesMax) return
      if (!/^OK \d{1,10}$/.test(greeting.toString('latin1', 0, Math.max(end, 0)))) return fail(new Error('no vsock greeting'))
      cancel()
      socket.off('readable', take).off('error', fail).off('close', closed)
      // An error after this is the owner’s to hear; without a listener of ours it would be nobody’s until then.
      socket.on('error', () => {})
      if (end + 1 < greeting.length) socket.unshift(greeting.subarray(end + 1))
      resolve(socket)
    }
    socket.once('error', fail).once('close', closed).on('readable', take)
    socket.once('connect', () => socket.write(`CONNECT ${port}\n`))
  })
}

/** As `connectVsock`, again and again until the guest listens: it boots, or has just been restored. */
export async function awaitVsock(
  path: string,
  port: number,
  world: World,
  until: { msMax: number; signal: AbortSignal },
): Promise<Duplex> {
  const deadline = world.monotonicMs() + until.msMax
  for (;;) {
    const leftMs = deadline - world.monotonicMs()
    try {
      return await connectVsock(path, port, Math.max(1, Math.min(leftMs, attemptMsMax)), world)
    } catch (cause) {
      if (until.signal.aborted || world.monotonicMs() > deadline) throw cause
      await world.sleep(attemptPauseMs, until.signal)
    }
  }
}

const attemptMsMax = 2000
const attemptPauseMs = 10

/** A stream to the agent, as soon as it listens. Rejects at once when the machine ends. */
export async function connectAgent(vm: MicroVm, msMax: number, world: World): Promise<Duplex> {
  const ended = new AbortController()
  void vm.gone.then(() => ended.abort(new Error('the machine ended before its agent listened')))
  return awaitVsock(vm.jail.vsockSocket, agentPort, world, { msMax, signal: ended.signal })
}
