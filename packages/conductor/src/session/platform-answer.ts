import { type ConductorError, rpcErrorOf } from '@maestro/contract'
import { type Frame, readFrame, writeError } from '@maestro/logic'

/** Conductor's own answer to a request, in the server's place. `idText`: the id as the client wrote it. */
export function platformAnswer(idText: string, error: ConductorError): Frame {
  const frame = readFrame(writeError(idText, rpcErrorOf(error)))
  if (frame.kind === 'fault') throw new Error(`invariant: our own answer is no frame: ${frame.message}`)
  return frame
}
