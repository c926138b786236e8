const newline = 0x0a
const carriageReturn = 0x0d

/**
 * Cuts a byte stream into lines. A line that lies within one chunk is handed over as a view of it, without a copy; only lines that
 * cross chunks are joined. CR before LF is dropped and blank lines are not handed over.
 */
export class LineSplitter {
  readonly #lineBytesMax: number
  readonly #onLine: (line: Buffer) => void
  #parts: Buffer[] = []
  #partsBytes = 0

  constructor(lineBytesMax: number, onLine: (line: Buffer) => void) {
    this.#lineBytesMax = lineBytesMax
    this.#onLine = onLine
  }

  /** Returns false when a line is longer than allowed; what follows must not be pushed any more. */
  push(chunk: Buffer): boolean {
    let start = 0
    if (this.#partsBytes > 0) {
      const end = chunk.indexOf(newline)
      const piece = end < 0 ? chunk : chunk.subarray(0, end)
      if (this.#partsBytes + piece.length > this.#lineBytesMax) return false
      this.#parts.push(piece)
      this.#partsBytes += piece.length
      if (end < 0) return true
      const line = Buffer.concat(this.#parts, this.#partsBytes)
      this.#parts = []
      this.#partsBytes = 0
      this.#hand(line)
      start = end + 1
    }
    while (start < chunk.length) {
      const end = chunk.indexOf(newline, start)
      if (end < 0) {
        const piece = chunk.subarray(start)
        if (piece.length > this.#lineBytesMax) return false
        this.#parts.push(piece)
        this.#partsBytes = piece.length
        return true
      }
      if (end - start > this.#lineBytesMax) return false
      this.#hand(chunk.subarray(start, end))
      start = end + 1
    }
    return true
  }

  /** Hands over what stands after the last newline, as a program that ends without one would want. */
  end(): void {
    const line = Buffer.concat(this.#parts, this.#partsBytes)
    this.#parts = []
    this.#partsBytes = 0
    this.#hand(line)
  }

  #hand(line: Buffer): void {
    const trimmed = line[line.length - 1] === carriageReturn ? line.subarray(0, -1) : line
    if (trimmed.length > 0 && !isBlank(trimmed)) this.#onLine(trimmed)
  }
}

const space = 0x20
const tab = 0x09

/** Index of the first byte that is neither space nor tab; the length where there is none. */
export function firstVisible(line: Uint8Array): number {
  let index = 0
  while (index < line.length && (line[index] === space || line[index] === tab)) index++
  return index
}

const isBlank = (line: Uint8Array): boolean => firstVisible(line) === line.length
