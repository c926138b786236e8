/** What a capability allows. Pure: the same token, frame and moment give the same answer, live and in simulation. */

/** The part of a capability that decides. */
export interface Grant {
  /** Tools that may be called and seen. */
  tools: '*' | ReadonlySet<string>
  /** Unix ms. At this very moment it is over. */
  expiresAt: number
}

export type Judgement =
  | { verdict: 'allow' }
  | { verdict: 'deny'; code: 'capability_insufficient' | 'capability_expired'; rule: string; message: string }

const allow: Judgement = { verdict: 'allow' }

/**
 * Judges one message from a client. `tool` is the name in a `tools/call`, null where the message names none.
 * `nowMs` is Unix ms; there is no grace after expiry.
 */
export function judge(grant: Grant, method: string, tool: string | null, nowMs: number): Judgement {
  if (!(nowMs < grant.expiresAt)) {
    return { verdict: 'deny', code: 'capability_expired', rule: 'capability.expires', message: 'The capability has expired.' }
  }
  if (method !== 'tools/call' || grant.tools === '*') return allow
  if (tool === null) {
    return {
      verdict: 'deny',
      code: 'capability_insufficient',
      rule: 'capability.tools',
      message: 'The call names no tool, and the capability is for named tools only.',
    }
  }
  if (mayShowTool(grant, tool)) return allow
  return {
    verdict: 'deny',
    code: 'capability_insufficient',
    rule: 'capability.tools',
    message: `The capability does not include the tool ${JSON.stringify(tool.slice(0, 128))}.`,
  }
}

/** Whether a list of tools may name this one: what cannot be called is not shown. */
export function mayShowTool(grant: Pick<Grant, 'tools'>, tool: string): boolean {
  return grant.tools === '*' || grant.tools.has(tool)
}
