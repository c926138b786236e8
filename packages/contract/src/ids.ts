/** Every id says what it names: `ses_…` can never be passed where a `rec_…` is wanted. */
declare const kind: unique symbol
type Id<Prefix extends string> = `${Prefix}_${string}` & { readonly [kind]: Prefix }

export type TenantId = Id<'ten'>
export type ReleaseId = Id<'rel'>
export type DeploymentId = Id<'dep'>
export type SessionId = Id<'ses'>
export type SandboxId = Id<'sbx'>
export type LeaseId = Id<'lea'>
export type ReplayId = Id<'rpl'>
export type CapabilityId = Id<'cap'>
export type RequestId = Id<'req'>

/** Append-only: a prefix that was ever handed out keeps its meaning. */
export const idPrefixes = ['ten', 'rel', 'dep', 'ses', 'sbx', 'lea', 'rpl', 'cap', 'req'] as const
export type IdPrefix = (typeof idPrefixes)[number]

/** The JSON Schema pattern of an id with this prefix. */
export const idPattern = (prefix: IdPrefix): string => `^${prefix}_[0-9a-z]{20}$`

/** The one place a string from outside becomes an id. Returns null; the edge says what that means. */
export function parseId<P extends IdPrefix>(prefix: P, text: string): Id<P> | null {
  return new RegExp(idPattern(prefix)).test(text) ? (text as Id<P>) : null
}

const alphabet = '0123456789abcdefghijklmnopqrstuvwxyz'

/**
 * A new id: 9 characters of time (Unix ms in base 36, sortable until year 5188) and 11 of randomness (56 bits).
 * Pure: the caller brings clock and dice, so that a simulation repeats its ids.
 */
export function makeId<P extends IdPrefix>(prefix: P, nowMs: number, random: Uint8Array): Id<P> {
  const time = Math.floor(nowMs).toString(36).padStart(9, '0')
  let tail = ''
  for (let index = 0; index < 11; index++) tail += alphabet[(random[index] ?? 0) % 36]
  return `${prefix}_${time}${tail}` as Id<P>
}

/** The tenant of a single-machine install. Every row names its tenant from the first day. */
export const localTenant = 'ten_00000000000000local0' as TenantId
