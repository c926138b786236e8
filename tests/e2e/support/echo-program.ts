/** What the program says around the id of each request: one result that is an answer to every method a first run asks. */
const head = Buffer.from('{"jsonrpc":"2.0","id":')
const tail = Buffer.from(
  ',"result":{"protocolVersion":"2025-11-25","serverInfo":{"name":"tiny","version":"1"},"capabilities":{"tools":{}},' +
    '"tools":[{"name":"any","inputSchema":{"type":"object"}}],"content":[{"type":"text","text":"tiny"}]}}\n',
)

const base = 0x40_0000
const headAt = 0x200
const tailAt = 0x240

const u32 = (value: number): string => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes.toString('hex')
}

/** Machine code of x86_64 with system calls alone. rbx: the line, r12: its length, r13: where in it we look. */
const code = [
  `bb${u32(base + 0x2000)}`, // mov ebx, buffer
  '4531e4', // line: r12 = 0
  '31c031ff4a8d3423ba010000000f05', // next: read(0, rbx + r12, 1)
  '4885c07e13', // at the end of input: end
  '42803c230a7415', // at a line break: scan
  '49ffc44981fc0000010072d9', // r12 += 1; next, while there is room
  'b83c00000031ff0f05', // end: exit(0)
  '42c604237d4531ed', // scan: a brace ends the line; r13 = 0
  '498d45054c39e077bc', // find: where the line is over, line
  '42813c2b226964227508', // "id"
  '42807c2b043a7405', // and a colon: found
  '49ffc5ebe0', // r13 += 1; find
  `be${u32(base + headAt)}ba${u32(head.length)}b801000000bf010000000f05`, // found: write(1, head)
  '4a8d742b0531d2', // rsi = behind the colon, rdx = 0
  '8a04163c2c74083c7d7404ffc2ebf1', // up to a comma or a brace
  'b801000000bf010000000f05', // write(1, id)
  `be${u32(base + tailAt)}ba${u32(tail.length)}b801000000bf010000000f05`, // write(1, tail)
  'e952ffffff', // line
].join('')

/** An MCP server of a few hundred bytes: a static program of x86_64 without a library. */
export function echoProgram(): Buffer {
  const file = Buffer.alloc(tailAt + tail.length)
  file.write('\x7fELF\x02\x01\x01', 'latin1')
  file.writeUInt16LE(2, 16) // executable
  file.writeUInt16LE(0x3e, 18) // x86_64
  file.writeUInt32LE(1, 20)
  file.writeBigUInt64LE(BigInt(base + 120), 24) // begins behind both headers
  file.writeBigUInt64LE(64n, 32) // program headers
  file.writeUInt16LE(64, 52)
  file.writeUInt16LE(56, 54)
  file.writeUInt16LE(1, 56)
  file.writeUInt32LE(1, 64) // to be loaded,
  file.writeUInt32LE(7, 68) // for reading, writing and running,
  file.writeBigUInt64LE(BigInt(base), 80) // there,
  file.writeBigUInt64LE(BigInt(base), 88)
  file.writeBigUInt64LE(BigInt(file.length), 96)
  file.writeBigUInt64LE(0x2_0000n, 104) // with room for a line behind it
  file.writeBigUInt64LE(0x1000n, 112)
  file.write(code, 120, 'hex')
  head.copy(file, headAt)
  tail.copy(file, tailAt)
  return file
}
