import { UsageError } from './usage-error.ts'

/** A whole number of a flag. Throws `UsageError`. */
export function parseCount(flag: string, text: string, min: number, max: number): number {
  const number = Number(text)
  if (/^\d+$/.test(text) && number >= min && number <= max) return number
  throw new UsageError(`${flag} is a whole number from ${min} to ${max}, not ${JSON.stringify(text)}.`)
}
