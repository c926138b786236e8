/**
 * A tar archive of text files, and of links where a target is given instead, in the ustar format: a header of 512 bytes, the content,
 * padding to 512, for each.
 */
export function tarOf(files: Record<string, string | { link: string }>): Buffer {
  const parts = Object.entries(files).flatMap(([path, what]) => {
    const content = Buffer.from(typeof what === 'string' ? what : '')
    const header = Buffer.alloc(512)
    const octal = (value: number, length: number) => `${value.toString(8).padStart(length - 1, '0')}\0`
    header.write(path, 0, 100)
    header.write(octal(0o644, 8), 100)
    header.write(octal(content.length, 12), 124)
    header.write(octal(0, 12), 136)
    header.write('        ', 148)
    header.write(typeof what === 'string' ? '0' : '2', 156)
    if (typeof what !== 'string') header.write(what.link, 157, 100)
    header.write('ustar\x0000', 257)
    const sum = header.reduce((total, byte) => total + byte, 0)
    header.write(octal(sum, 7), 148)
    return [header, content, Buffer.alloc((512 - (content.length % 512)) % 512)]
  })
  return Buffer.concat([...parts, Buffer.alloc(1024)])
}
