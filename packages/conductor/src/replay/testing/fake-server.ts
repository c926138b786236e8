import type { SandboxId, TapeEvent } from '@maestro/contract'
import type { Exit } from '../../sandbox/sandbox.ts'
import type { Upstream } from '../../session/stages.ts'

/** What a fake server can do besides answering: say anything, print garbage, die. */
export interface Mouth {
  say(frame: object): void
  print(line: string): void
  exit(exit: Partial<Exit>): void
}

/** A server in this process. `hear` gets each frame that is sent to it, parsed, one turn later. */
export function fakeServer(hear: (frame: Record<string, any>, mouth: Mouth) => void): Upstream {
  const exited = Promise.withResolvers<Exit>()
  let onFrame: (frame: Uint8Array) => void = () => {}
  let onEvent: (event: TapeEvent) => void = () => {}
  let isGone = false
  const end = (exit: Partial<Exit>) => {
    isGone = true
    exited.resolve({ code: null, signal: null, reason: 'closed', stderrTail: '', ...exit })
  }
  const mouth: Mouth = {
    say: frame => {
      if (!isGone) onFrame(new TextEncoder().encode(JSON.stringify({ jsonrpc: '2.0', ...frame })))
    },
    print: text => onEvent({ name: 'server.garbled', text, bytes: text.length }),
    exit: end,
  }
  return {
    id: 'sbx_00000000000000000001' as SandboxId,
    driver: 'fake',
    pendingBytes: 0,
    send(bytes) {
      const frame = JSON.parse(new TextDecoder().decode(bytes))
      setImmediate(() => {
        if (!isGone) hear(frame, mouth)
      })
    },
    onFrame(listener) {
      onFrame = listener
    },
    onEvent(listener) {
      onEvent = listener
    },
    pause() {},
    resume() {},
    exited: exited.promise,
    async close() {
      end({})
    },
  }
}
