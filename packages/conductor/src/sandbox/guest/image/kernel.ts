import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import { isLz4, uncompressLz4 } from './lz4.ts'

const setupSectorsAt = 0x1f1
const magicAt = 0x202
const payloadOffsetAt = 0x248
const payloadLengthAt = 0x24c
const sectorBytes = 512

/**
 * The ELF kernel inside a bzImage (kernel documentation, `arch/x86/boot`). Firecracker boots nothing else, and QEMU boots it sooner:
 * nothing is left to uncompress in the guest.
 */
export function extractKernel(image: Buffer): Buffer {
  if (image.length < 1024 || image.toString('latin1', magicAt, magicAt + 4) !== 'HdrS') throw new Error('not a bzImage')
  const start = ((image[setupSectorsAt] || 4) + 1) * sectorBytes + image.readUInt32LE(payloadOffsetAt)
  const payload = image.subarray(start, start + image.readUInt32LE(payloadLengthAt))
  // The build appends the size of what comes out.
  const compressed = payload.subarray(0, -4)
  const size = payload.readUInt32LE(payload.length - 4)
  const kernel = uncompress(compressed, size)
  if (kernel.toString('latin1', 1, 4) !== 'ELF') throw new Error('what the bzImage holds is no ELF file')
  return kernel
}

function uncompress(bytes: Buffer, size: number): Buffer {
  if (isLz4(bytes)) return uncompressLz4(bytes, size)
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) return gunzipSync(bytes, { maxOutputLength: size })
  if (bytes.readUInt32LE(0) === 0xfd2f_b528) return zstdDecompressSync(bytes, { maxOutputLength: size })
  throw new Error('the kernel is compressed in a way we cannot undo (LZ4, gzip and zstd we can)')
}
