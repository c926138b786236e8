const bytesMin = 8 * 1024
const bytesMax = 1024 * 1024
/** Room kept for all tapes together, bytes. */
const keptBytesMax = 4 * 1024 * 1024

/**
 * Memory that tapes gather frames in, used again by any tape: a large answer would otherwise cost new pages, which the system clears
 * first, and a collection sooner. What is taken holds what others wrote; only what was written since may be read.
 */
export class WriteBuffers {
  readonly #kept = new Map<number, Uint8Array<ArrayBuffer>[]>()
  #keptBytes = 0

  /** At least `bytes` long. */
  take(bytes: number): Uint8Array<ArrayBuffer> {
    const size = sizeOf(bytes)
    const buffer = this.#kept.get(size)?.pop()
    if (buffer === undefined) return new Uint8Array(size)
    this.#keptBytes -= size
    return buffer
  }

  /** Nobody reads or writes it any more. */
  giveBack(buffer: Uint8Array<ArrayBuffer>): void {
    const size = buffer.length
    if (size < bytesMin || size > bytesMax || size !== sizeOf(size) || this.#keptBytes + size > keptBytesMax) return
    const same = this.#kept.get(size)
    if (same) same.push(buffer)
    else this.#kept.set(size, [buffer])
    this.#keptBytes += size
  }
}

/** Powers of two, so that few sizes are kept; beyond what is kept, what is asked for. */
const sizeOf = (bytes: number): number => {
  if (bytes > bytesMax) return bytes
  let size = bytesMin
  while (size < bytes) size *= 2
  return size
}
