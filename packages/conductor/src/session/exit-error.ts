import { ConductorError } from '@maestro/contract'
import type { Exit } from '../sandbox/sandbox.ts'
import type { Runnable } from './stages.ts'

/** What open requests are answered with when the server ended by itself. The hint of standard error carries no secret. */
export function exitError(exit: Exit, runnable: Runnable): ConductorError {
  const how = exit.signal ? `by ${exit.signal}` : exit.code === null ? 'without an exit code' : `with exit code ${exit.code}`
  const stderr = lastOf(exit.stderrTail, runnable.env)
  return new ConductorError(
    exit.reason === 'closed' ? 'session_closed' : exit.reason,
    `The server ${runnable.name} ended ${how}.${stderr ? ` Its standard error ends with: ${stderr}` : ''}`,
    {
      ...(exit.code === null ? {} : { exit_code: exit.code }),
      ...(exit.signal === null ? {} : { signal: exit.signal }),
      ...(stderr ? { stderr } : {}),
    },
  )
}

const hintLengthMax = 400
const secretLengthMin = 4

/** The end of what the server printed, on one line, with the values of its environment blotted out. */
function lastOf(stderrTail: string, env: Readonly<Record<string, string>>): string {
  let text = stderrTail
  // Longest first: a value that contains another must not leave its rest behind.
  for (const value of Object.values(env).sort((a, b) => b.length - a.length)) {
    if (value.length >= secretLengthMin) text = text.replaceAll(value, '•••')
  }
  return text.trim().replaceAll(/\s+/g, ' ').slice(-hintLengthMax)
}
