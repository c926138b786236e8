/**
 * How many places one tenant may lease. Half of all places are set aside in equal parts, one for each tenant, so that nobody finds all of
 * them taken; the rest goes to whoever comes. A tenant alone may take everything.
 */
export function placesOfTenantMax(places: number, tenants: number): number {
  if (tenants <= 1) return places
  const setAside = tenants > places ? 0 : Math.max(1, Math.floor(places / (2 * tenants)))
  return Math.max(1, places - (tenants - 1) * setAside)
}
