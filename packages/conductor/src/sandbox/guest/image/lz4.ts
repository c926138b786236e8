const legacyMagic = 0x184c_2102
/** Blocks of the legacy frame hold so much, but for the last. */
const blockBytesMax = 8 * 1024 * 1024

/** Whether the bytes are what `lz4 -l` makes, as the kernel's build does. */
export const isLz4 = (bytes: Buffer): boolean => bytes.length > 8 && bytes.readUInt32LE(0) === legacyMagic

/** Uncompresses an LZ4 legacy frame into `size` bytes. Format: lz4_Block_format.md and lz4_Frame_format.md of the LZ4 project. */
export function uncompressLz4(frame: Buffer, size: number): Buffer {
  const output = Buffer.alloc(size)
  let written = 0
  for (let at = 4; at + 4 <= frame.length && written < size; ) {
    const length = frame.readUInt32LE(at)
    at += 4
    written += uncompressBlock(frame.subarray(at, at + length), output.subarray(written, written + blockBytesMax))
    at += length
  }
  if (written !== size) throw new Error(`the compressed data gives ${written} bytes and not ${size}`)
  return output
}

function uncompressBlock(block: Buffer, output: Buffer): number {
  let from = 0
  let to = 0
  const lengthOf = (nibble: number): number => {
    let length = nibble
    if (nibble === 15) {
      let more = 255
      while (more === 255) {
        more = block[from++] ?? 0
        length += more
      }
    }
    return length
  }
  while (from < block.length) {
    const token = block[from++]!
    const literals = lengthOf(token >> 4)
    if (from + literals > block.length || to + literals > output.length) throw new Error('the compressed data is broken')
    block.copy(output, to, from, from + literals)
    from += literals
    to += literals
    // The last sequence is literals only.
    if (from >= block.length) break
    const distance = block.readUInt16LE(from)
    from += 2
    const end = to + lengthOf(token & 15) + 4
    if (distance === 0 || distance > to || end > output.length) throw new Error('the compressed data is broken')
    // Source and target may overlap: a run repeats what it has just written.
    while (to < end) {
      const piece = Math.min(distance, end - to)
      output.copyWithin(to, to - distance, to - distance + piece)
      to += piece
    }
  }
  return to
}
