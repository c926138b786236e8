/** One red pixel. */
export const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC'

/** Four samples of silence: 8 kHz, mono, 8 bit. */
export const wav = Buffer.concat([
  Buffer.from('RIFF'),
  uint32(40),
  Buffer.from('WAVEfmt '),
  uint32(16),
  Buffer.from([1, 0, 1, 0]),
  uint32(8000),
  uint32(8000),
  Buffer.from([1, 0, 8, 0]),
  Buffer.from('data'),
  uint32(4),
  Buffer.from([128, 128, 128, 128]),
]).toString('base64')

function uint32(value) {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}
