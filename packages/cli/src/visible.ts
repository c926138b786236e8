/**
 * Text from outside made safe for a terminal: what would move the cursor, change colours or hide itself is shown instead of done.
 * Line breaks and tabs stay.
 */
export function visible(text: string): string {
  return text.replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, character => {
    const code = character.codePointAt(0) ?? 0
    return code < 0x20 ? String.fromCodePoint(0x2400 + code) : `\\u${code.toString(16).padStart(4, '0')}`
  })
}

/** The same on one line, and no longer than `max` characters. */
export function oneLine(text: string, max = 200): string {
  const line = visible(text).replace(/\s*[\n\t]\s*/g, ' ')
  return line.length > max ? `${line.slice(0, max - 1).toWellFormed()}…` : line
}
