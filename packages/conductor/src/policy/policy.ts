import { judge } from '@maestro/logic'
import type { Policy } from '../session/stages.ts'
import type { World } from '../world.ts'
import type { Tokens } from './tokens.ts'

/** The policy stage: tokens say who, the pure rules say what. */
export function createPolicy(tokens: Pick<Tokens, 'verify'>, world: World): Policy {
  return {
    verify: token => tokens.verify(token),
    judge: (capability, method, tool) => judge(capability, method, tool, world.now()),
  }
}
