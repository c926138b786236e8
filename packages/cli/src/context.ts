import type { Client } from './client.ts'
import type { Out } from './out.ts'

/** What a command may use. The Conductor is only looked for once it is asked for. */
export interface Context {
  out: Out
  /** Aborted by Ctrl-C. */
  signal: AbortSignal
  stdin: NodeJS.ReadStream
  environment: NodeJS.ProcessEnv
  cwd: string
  /** Given by --data. */
  data: string | undefined
  /** The running Conductor. Throws `conductor_unreachable`, `operator_required`. */
  client(): Promise<Client>
}
