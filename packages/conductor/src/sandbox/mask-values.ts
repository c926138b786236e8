/** Shorter values hit ordinary words; secrets are longer. */
const maskedLengthMin = 8

/**
 * A function that puts the name in the place of each value of the environment, the longest first; also of what JSON makes of it, and
 * JSON in a text of JSON: a key of several lines is never written there as it is.
 */
export function maskValues(env: Readonly<Record<string, string>>): (text: string) => string {
  const masks = Object.entries(env)
    .filter(([, value]) => value.length >= maskedLengthMin)
    .flatMap(([name, value]) => spellingsOf(value).map((spelling): [string, string] => [spelling, `[${name}]`]))
    .sort((a, b) => b[0].length - a[0].length)
  return text => masks.reduce((masked, [value, mask]) => masked.replaceAll(value, mask), text)
}

const inJson = (text: string): string => JSON.stringify(text).slice(1, -1)
const spellingsOf = (value: string): string[] => [...new Set([value, inJson(value), inJson(inJson(value))])]
