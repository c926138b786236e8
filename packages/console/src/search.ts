/** What a page accepts from its URL: anything else is as if it were not there, so that an old link still opens. */
type Reader<T> = (value: unknown) => T | undefined

export const text: Reader<string> = value => {
  // The router reads `?find=42` as a number.
  const read = typeof value === 'number' || typeof value === 'boolean' ? String(value) : value
  return typeof read === 'string' && read !== '' ? read : undefined
}

export const natural: Reader<number> = value =>
  Number.isSafeInteger(value) && (value as number) >= 0 ? (value as number) : undefined

export const oneOf =
  <const T extends string>(...options: readonly T[]): Reader<T> =>
  value =>
    options.find(option => option === value)

/** The search part of a route, from one reader per name. */
export const searchOf =
  <T extends Record<string, Reader<unknown>>>(readers: T) =>
  (search: Record<string, unknown>): { [K in keyof T]?: ReturnType<T[K]> } => {
    const read = Object.entries(readers).map(([name, reader]) => [name, reader(search[name])] as const)
    return Object.fromEntries(read.filter(([, value]) => value !== undefined)) as { [K in keyof T]?: ReturnType<T[K]> }
  }
