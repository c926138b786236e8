import type { IncomingMessage } from 'node:http'
import type { Frame } from '@maestro/logic'
import type { Session } from '../../session/session.ts'
import type { Edge, Post } from '../gateway.ts'
export function isStateless(frame: Frame, request: IncomingMessage): boolean {
  void frame
  void request
  return false
}
export function createStatelessEra(edge: Edge): { post(call: Post): void; sessions(): Session[] } {
  void edge
  return { post() {}, sessions: () => [] }
}
