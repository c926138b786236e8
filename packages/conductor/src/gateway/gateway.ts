import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Frame } from '@maestro/logic'
import type { Config } from '../config.ts'
import type { Stages as SessionStages } from '../session/session.ts'
import type { Capability, Directory, Runnable } from '../session/stages.ts'
import type { Ticker } from './ticker.ts'

/** What stands behind the gateway. */
export interface Stages extends Omit<SessionStages, 'config'> {
  config: SessionStages['config'] & Pick<Config, 'host' | 'hosts' | 'origins' | 'drainMsMax' | 'sessionsPerCallerMax'>
  directory: Directory
}

/** What both eras need of the gateway. */
export interface Edge {
  stages: Stages
  ticker: Ticker
  /** While shutting down nothing new is begun. */
  isDraining(): boolean
}

/** A request of a known caller for a known deployment. */
export interface Call {
  request: IncomingMessage
  response: ServerResponse
  capability: Capability
  runnable: Runnable
  /** `World.monotonicMs` at the first byte we saw. */
  firstByteMs: number
}

/** A call that carries one message. */
export interface Post extends Call {
  frame: Frame
}
