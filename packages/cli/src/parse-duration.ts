import { UsageError } from './usage-error.ts'

const units: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** `90s`, `15m`, `2h` in ms. Throws `UsageError`. */
export function parseDuration(flag: string, text: string): number {
  const [, number = '', unit = ''] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text) ?? []
  const size = units[unit]
  if (size === undefined)
    throw new UsageError(`${flag} is a number and a unit, such as 90s, 15m or 2h; not ${JSON.stringify(text)}.`)
  return Math.round(Number(number) * size)
}
