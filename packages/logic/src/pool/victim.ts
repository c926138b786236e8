/** What is known of one deployment when a place is wanted at once. */
export interface VictimState {
  tenant: string
  /** Sandboxes that nobody holds. */
  idle: number
  leased: number
  target: number
  lastUsedMs: number
}

/**
 * Whose waiting sandbox goes when somebody needs a place now: of the tenant that holds most, what it has beyond its target, then what was
 * not used for longest. Returns the index, or null where nobody has one to give.
 */
export function chooseVictim(shelves: readonly VictimState[]): number | null {
  const held = new Map<string, number>()
  for (const { tenant, idle, leased } of shelves) held.set(tenant, (held.get(tenant) ?? 0) + idle + leased)
  let victim: number | null = null
  const before = (a: VictimState, b: VictimState): boolean => {
    const byTenant = held.get(b.tenant)! - held.get(a.tenant)!
    if (byTenant !== 0) return byTenant < 0
    const bySurplus = Number(b.idle > b.target) - Number(a.idle > a.target)
    return bySurplus !== 0 ? bySurplus < 0 : a.lastUsedMs < b.lastUsedMs
  }
  shelves.forEach((shelf, index) => {
    if (shelf.idle > 0 && (victim === null || before(shelf, shelves[victim]!))) victim = index
  })
  return victim
}
