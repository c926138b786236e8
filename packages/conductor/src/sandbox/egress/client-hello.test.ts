/**
 * Goal: the server name is read out of every ClientHello, however it is cut, and no bytes make the reader fail, read beyond, or take two
 * names for one.
 * Method: ClientHellos that Node itself sends, cut into records and pieces at random, truncated, and damaged.
 * Repeat a failure with: SEED=<seed> npm test -- unit client-hello
 */
import assert from 'node:assert/strict'
import { Duplex } from 'node:stream'
import { before, test } from 'node:test'
import { connect } from 'node:tls'
import fc from 'fast-check'
import { helloBytesMax, readClientHello } from './client-hello.ts'

const seed = Number(process.env['SEED'] ?? 20_261_127)

/** What Node says first to a server of this name. */
function helloFor(servername: string | null): Promise<Buffer> {
  return new Promise(done => {
    const wire = new Duplex({ read: () => {}, write: (chunk: Buffer) => done(chunk) })
    connect({
      socket: wire,
      host: 'unused',
      ...(servername === null ? {} : { servername }),
      ALPNProtocols: ['h2', 'http/1.1'],
    }).on('error', () => {})
  })
}

/** The same handshake message in records of the given sizes. */
function recut(hello: Buffer, sizes: readonly number[]): Buffer {
  const parts: Buffer[] = []
  let rest = hello.subarray(5)
  for (let turn = 0; rest.length > 0; turn++) {
    const size = Math.min(sizes[turn % sizes.length]!, rest.length)
    parts.push(Buffer.from([22, 3, 1, size >> 8, size & 255]), rest.subarray(0, size))
    rest = rest.subarray(size)
  }
  return Buffer.concat(parts)
}

let hello: Buffer
before(async () => {
  hello = await helloFor('api.example.com')
})

test('the name is read, and its absence', async () => {
  assert.deepEqual(readClientHello(hello), { kind: 'tls', serverName: 'api.example.com' })
  assert.deepEqual(readClientHello(await helloFor(null)), { kind: 'tls', serverName: null })
})

test('every beginning of it asks for more, and nothing is lost by what follows', () => {
  for (let end = 0; end < hello.length; end++)
    assert.deepEqual(readClientHello(hello.subarray(0, end)), { kind: 'more' }, `${end}`)
  assert.equal(readClientHello(Buffer.concat([hello, Buffer.from([20, 3, 3, 0, 1, 1])])).kind, 'tls')
})

test('records may cut it anywhere', () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 20 })
  fc.assert(
    fc.property(sizes, fc.nat(), (sizes, cut) => {
      const bytes = recut(hello, sizes)
      assert.deepEqual(readClientHello(bytes), { kind: 'tls', serverName: 'api.example.com' })
      assert.deepEqual(readClientHello(bytes.subarray(0, cut % bytes.length)), { kind: 'more' })
    }),
    { seed, numRuns: 200 },
  )
})

test('two names, an empty list and a name of another type are broken', () => {
  const at = hello.indexOf('api.example.com')
  const otherType = Buffer.from(hello)
  otherType[at - 3] = 1
  assert.equal(readClientHello(otherType).kind, 'broken')
  const shorter = Buffer.from(hello)
  shorter[at - 1]! -= 1
  assert.equal(readClientHello(shorter).kind, 'broken')
  const nul = Buffer.from(hello)
  nul[at + 3] = 0
  assert.equal(readClientHello(nul).kind, 'broken')
  assert.equal(readClientHello(withExtension(hello, serverNameOf('other.example.com'))).kind, 'broken')
  assert.deepEqual(readClientHello(withExtension(hello, Buffer.from([0xfa, 0xfa, 0, 0]))), {
    kind: 'tls',
    serverName: 'api.example.com',
  })
})

test('what is no TLS, or far too long, is said so', () => {
  assert.equal(readClientHello(Buffer.from('GET / HTTP/1.1')).kind, 'other')
  assert.equal(readClientHello(Buffer.from([22, 3, 1, 0, 4, 2, 0, 0, 0])).kind, 'broken')
  assert.equal(readClientHello(Buffer.from([22, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff])).kind, 'broken')
  assert.equal(readClientHello(Buffer.from([22, 3, 1, 0, 0])).kind, 'broken')
  const endless = Buffer.concat(Array.from({ length: 9000 }, () => Buffer.from([22, 3, 1, 0, 1, 1])))
  assert.ok(endless.length > 3 * helloBytesMax)
  assert.equal(readClientHello(endless).kind, 'broken')
})

test('no bytes make it fail', () => {
  const damaged = fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })).map(([at, byte]) => {
    const copy = Buffer.from(hello)
    copy[at % copy.length] = byte
    return copy
  })
  const begun = fc
    .uint8Array({ maxLength: 200 })
    .map(bytes => Buffer.concat([Buffer.from([22, 3, 1, 0, bytes.length, 1]), bytes]))
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 400 }), damaged, begun), bytes => {
      const read = readClientHello(bytes)
      assert.ok(['more', 'tls', 'other', 'broken'].includes(read.kind))
      if (read.kind === 'tls' && read.serverName !== null) assert.ok(Buffer.from(bytes).includes(read.serverName))
    }),
    { seed, numRuns: 3000 },
  )
})

function serverNameOf(name: string): Buffer {
  const { length } = name
  return Buffer.concat([Buffer.from([0, 0, 0, length + 5, 0, length + 3, 0, 0, length]), Buffer.from(name)])
}

/** The hello with one more extension at the end, every length around it mended. */
function withExtension(original: Buffer, extension: Buffer): Buffer {
  const body = Buffer.concat([original.subarray(5), extension])
  const handshake = body.length - 4
  body.writeUIntBE(handshake, 1, 3)
  let at = 4 + 2 + 32
  at += 1 + body[at]!
  at += 2 + body.readUInt16BE(at)
  at += 1 + body[at]!
  body.writeUInt16BE(body.readUInt16BE(at) + extension.length, at)
  return Buffer.concat([Buffer.from([22, 3, 1, body.length >> 8, body.length & 255]), body])
}
