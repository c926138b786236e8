import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'

export interface FakePackage {
  name: string
  version: string
  /** Beside name and version. */
  manifest?: Record<string, unknown>
  /** Content by path. */
  files?: Record<string, string>
  /** What the registry says the archive's checksum is; null leaves it out. */
  integrity?: string | null
}

export interface FakeRegistry extends AsyncDisposable {
  url: string
  publish(...packages: FakePackage[]): void
  /** Paths that were asked for, in order. */
  requests: string[]
  /** Called before each answer. */
  onRequest: () => void
}

/** A package registry of our own on loopback: documents and archives as npm expects them. */
export async function fakeRegistry(): Promise<FakeRegistry> {
  const published: FakePackage[] = []
  const requests: string[] = []
  const server = createServer((request, response) => {
    const path = decodeURIComponent(request.url ?? '')
    requests.push(path)
    registry.onRequest()
    const archive = published.find(candidate => path === archivePath(candidate))
    const versions = published.filter(({ name }) => path === `/${name}`)
    if (archive) return response.end(archiveOf(archive))
    if (versions.length === 0) {
      response.statusCode = 404
      return response.end('{"error":"Not found"}')
    }
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify(documentOf(url, versions)))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const registry: FakeRegistry = {
    url,
    requests,
    onRequest: () => {},
    publish: (...packages) => void published.push(...packages),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
  return registry
}

const archivePath = ({ name, version }: FakePackage) => `/archives/${name}/${version}.tgz`

function documentOf(url: string, versions: FakePackage[]) {
  const documents = versions.map(published => ({
    name: published.name,
    version: published.version,
    ...published.manifest,
    dist: {
      tarball: `${url}${encodeURI(archivePath(published))}`,
      ...(published.integrity === null ? {} : { integrity: published.integrity ?? checksum(archiveOf(published)) }),
    },
  }))
  return {
    name: versions[0]?.name,
    'dist-tags': { latest: versions.at(-1)?.version },
    versions: Object.fromEntries(documents.map(document => [document.version, document])),
  }
}

const checksum = (bytes: Uint8Array) => `sha512-${createHash('sha512').update(bytes).digest('base64')}`

function archiveOf({ name, version, manifest, files }: FakePackage): Buffer {
  const contents = { 'package.json': JSON.stringify({ name, version, ...manifest }), ...files }
  const parts = Object.entries(contents).flatMap(([path, text]) => tarEntry(`package/${path}`, Buffer.from(text)))
  return gzipSync(Buffer.concat([...parts, Buffer.alloc(1024)]))
}

/** One file in the ustar format: a header of 512 bytes, the content, padding to 512. */
function tarEntry(path: string, content: Buffer): Buffer[] {
  const header = Buffer.alloc(512)
  const octal = (value: number, length: number) => `${value.toString(8).padStart(length - 1, '0')}\0`
  header.write(path, 0, 100)
  header.write(octal(0o755, 8), 100)
  header.write(octal(0, 8), 108)
  header.write(octal(0, 8), 116)
  header.write(octal(content.length, 12), 124)
  header.write(octal(0, 12), 136)
  header.write('        ', 148)
  header.write('0', 156)
  header.write('ustar\x0000', 257)
  header.write(
    octal(
      header.reduce((sum, byte) => sum + byte, 0),
      7,
    ),
    148,
  )
  return [header, content, Buffer.alloc((512 - (content.length % 512)) % 512)]
}
