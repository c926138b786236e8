/** Shorter values hit ordinary words; secrets are longer. */
const maskedLengthMin = 8

/** A function that puts the name in the place of each value of the environment, the longest first. */
export function maskValues(env: Readonly<Record<string, string>>): (text: string) => string {
  const masks = Object.entries(env)
    .filter(([, value]) => value.length >= maskedLengthMin)
    .sort((a, b) => b[1].length - a[1].length)
    .map(([name, value]): [string, string] => [value, `[${name}]`])
  return text => masks.reduce((masked, [value, mask]) => masked.replaceAll(value, mask), text)
}
