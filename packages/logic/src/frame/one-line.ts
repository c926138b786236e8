/**
 * The same JSON on one line, as stdio (one message per line) and SSE (`data:` per line) need it. Raw line breaks are legal
 * only between tokens, so each becomes a space and nothing else changes, the length included. Copies only where it must.
 */
export function oneLine(bytes: Uint8Array): Uint8Array {
  if (bytes.indexOf(lineFeed) < 0 && bytes.indexOf(carriageReturn) < 0) return bytes
  const line = bytes.slice()
  for (let index = 0; index < line.length; index++) {
    if (line[index] === lineFeed || line[index] === carriageReturn) line[index] = space
  }
  return line
}

const lineFeed = 0x0a
const carriageReturn = 0x0d
const space = 0x20
