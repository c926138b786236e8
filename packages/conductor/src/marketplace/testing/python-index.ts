import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { crc32 } from 'node:zlib'

export interface FakeWheel {
  name: string
  version: string
  /** Lines of METADATA beside name and version, such as `Requires-Dist: x`. */
  metadata?: string[]
  /** The `[console_scripts]`, by name. */
  scripts?: Record<string, string>
  /** Content by path, beside what every wheel has. */
  files?: Record<string, string>
  /** Further entries of the archive, as they are: links, names twice, sizes that are not so. */
  entries?: ZipEntry[]
  /** What the index says the checksum is. */
  sha256?: string
  /** Instead of a wheel: a source archive of this name with these bytes. */
  sdist?: Buffer
}

export interface ZipEntry {
  path: string
  bytes: Buffer
  mode: number
  /** How many bytes the archive says they are. */
  sizeDeclared?: number
  /** What is stored instead of the bytes: the same, deflated. */
  deflated?: Buffer
}

export interface FakeIndex extends AsyncDisposable {
  /** Of the simple index. */
  url: string
  publish(...wheels: FakeWheel[]): void
  /** Paths that were asked for, in order. */
  requests: string[]
}

/** A package index of our own on loopback, as PEP 503 has it. */
export async function fakeIndex(): Promise<FakeIndex> {
  const published: FakeWheel[] = []
  const requests: string[] = []
  const server = createServer((request, response) => {
    const path = decodeURIComponent(request.url ?? '')
    requests.push(path)
    const file = published.find(candidate => path === `/files/${fileName(candidate)}`)
    if (file) return response.end(file.sdist ?? wheelOf(file))
    const versions = published.filter(({ name }) => path === `/simple/${name}/`)
    if (versions.length === 0) {
      response.statusCode = 404
      return response.end('none')
    }
    response.setHeader('content-type', 'text/html')
    const links = versions.map(wheel => {
      const bytes = wheel.sdist ?? wheelOf(wheel)
      const sha256 = wheel.sha256 ?? createHash('sha256').update(bytes).digest('hex')
      const python = wheel.metadata?.find(line => line.startsWith('Requires-Python: '))?.slice('Requires-Python: '.length)
      const asks = python ? ` data-requires-python="${python.replace('>', '&gt;').replace('<', '&lt;')}"` : ''
      return `<a href="/files/${fileName(wheel)}#sha256=${sha256}"${asks}>${fileName(wheel)}</a>`
    })
    response.end(`<!DOCTYPE html><html><body>${links.join('\n')}</body></html>`)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/simple/`,
    requests,
    publish: (...wheels) => void published.push(...wheels),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
}

const fileName = ({ name, version, sdist }: FakeWheel) =>
  sdist ? `${name}-${version}.tar.gz` : `${name.replaceAll('-', '_')}-${version}-py3-none-any.whl`

function wheelOf({ name, version, metadata = [], scripts = {}, files = {}, entries = [] }: FakeWheel): Buffer {
  const info = `${name.replaceAll('-', '_')}-${version}.dist-info`
  const contents: Record<string, string> = {
    [`${info}/METADATA`]: `${['Metadata-Version: 2.1', `Name: ${name}`, `Version: ${version}`, ...metadata].join('\n')}\n`,
    [`${info}/WHEEL`]: 'Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n',
    [`${info}/entry_points.txt`]: `[console_scripts]\n${Object.entries(scripts)
      .map(([script, target]) => `${script} = ${target}\n`)
      .join('')}`,
    ...files,
  }
  const record = Object.keys(contents).map(path => `${path},,\n`)
  contents[`${info}/RECORD`] ??= `${record.join('')}${info}/RECORD,,\n`
  const plain = Object.entries(contents).map(([path, text]) => ({ path, bytes: Buffer.from(text), mode: 0o100644 }))
  return zipOf([...plain, ...entries])
}

/** A zip archive: local headers with content, then the directory. */
export function zipOf(entries: readonly ZipEntry[]): Buffer {
  const locals: Buffer[] = []
  const directory: Buffer[] = []
  let offset = 0
  for (const { path, bytes, mode, sizeDeclared = bytes.length, deflated } of entries) {
    const stored = deflated ?? bytes
    const name = Buffer.from(path)
    const common = Buffer.alloc(26)
    common.writeUInt16LE(20, 0)
    common.writeUInt16LE(deflated ? 8 : 0, 4)
    common.writeUInt16LE(0x21, 8)
    common.writeUInt32LE(crc32(bytes), 10)
    common.writeUInt32LE(stored.length, 14)
    common.writeUInt32LE(sizeDeclared, 18)
    common.writeUInt16LE(name.length, 22)
    const local = Buffer.concat([Buffer.from('PK\x03\x04', 'latin1'), common, name, stored])
    const rest = Buffer.alloc(14)
    rest.writeUInt32LE(mode * 0x1_0000, 6)
    rest.writeUInt32LE(offset, 10)
    directory.push(Buffer.from('PK\x01\x02\x14\x03', 'latin1'), common, rest, name)
    locals.push(local)
    offset += local.length
  }
  const listed = Buffer.concat(directory)
  const end = Buffer.alloc(22)
  end.write('PK\x05\x06', 'latin1')
  end.writeUInt16LE(entries.length, 8)
  end.writeUInt16LE(entries.length, 10)
  end.writeUInt32LE(listed.length, 12)
  end.writeUInt32LE(offset, 16)
  return Buffer.concat([...locals, listed, end])
}
