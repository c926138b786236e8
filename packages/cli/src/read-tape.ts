import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { ConductorError } from '@maestro/contract'
import { type Recording, readRecording } from '@maestro/logic'
import type { Context } from './context.ts'

/** Whether this names a file rather than a session. */
export const isTapeFile = (word: string): boolean => !/^ses_[0-9a-z]+$/.test(word)

/** A recording from its file, with no Conductor, or from the running one. Throws `recording_unreadable`, `session_not_found`. */
export async function readTape(word: string, { client, cwd, signal }: Context): Promise<Recording> {
  if (!isTapeFile(word))
    return readRecording((await (await client()).call('getRecording', { params: { id: word } }, signal)) as Uint8Array)
  const bytes = await readFile(resolve(cwd, word)).catch(cause => {
    throw new ConductorError('recording_unreadable', `${word} is no session id, and no file that can be read.`, {}, cause)
  })
  return readRecording(bytes)
}
