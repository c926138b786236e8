import { ConductorError, parseId, type SessionId } from '@maestro/contract'

/** What a deployment's source text means, before anything is looked up. */
export type ParsedSource =
  /** `range` is a version, a range or a tag; `*` where none was given: the newest that runs on this Node. */
  | { kind: 'npm'; package: string; range: string }
  | { kind: 'folder'; path: string }
  | { kind: 'remote'; url: string }
  | { kind: 'recording'; session: SessionId }

const packageName = /^(?:@[a-z0-9~-][a-z0-9._~-]*\/)?[a-zA-Z0-9~][a-zA-Z0-9._~-]*$/
// Versions, ranges and tags. No colon and no slash: those make npm fetch from git, a URL or a file.
const packageRange = /^[0-9A-Za-z*^~<>=|.+\- ]+$/

/**
 * Reads a source as a person writes it: `name`, `@scope/name@1.2`, `./folder`, `https://…`, `ses_…`.
 * Pure: `isFolder` says whether a bare word is a folder here. Throws `source_invalid`.
 */
export function parseSource(text: string, isFolder: (path: string) => boolean): ParsedSource {
  const source = text.trim()
  if (source.includes('\0')) throw invalid(source, 'it holds a NUL character')
  if (source.startsWith('ses_')) {
    const session = parseId('ses', source)
    if (!session) throw invalid(source, 'a session id is ses_ and 20 lower-case letters or digits')
    return { kind: 'recording', session }
  }
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(source)) return { kind: 'remote', url: remoteUrl(source) }
  if (/^[./~]/.test(source) || (source !== '' && isFolder(source))) return { kind: 'folder', path: source }
  return npmSource(source)
}

function npmSource(source: string): ParsedSource {
  const at = source.indexOf('@', 1)
  const name = at < 0 ? source : source.slice(0, at)
  const range = at < 0 ? '*' : source.slice(at + 1).trim()
  if (!packageName.test(name) || name.length > 214 || name === 'node_modules') {
    throw invalid(source, 'it is neither a package name, nor a folder, nor a URL')
  }
  if (!packageRange.test(range)) throw invalid(source, 'what follows the @ is not a version, a range or a tag')
  return { kind: 'npm', package: name, range }
}

function remoteUrl(source: string): string {
  const url = URL.parse(source)
  if (!url) throw invalid(source, 'the URL cannot be read')
  const loopback = url.hostname === 'localhost' || url.hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(url.hostname)
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && loopback)) {
    throw invalid(source.split('@').at(-1) ?? '', 'a remote server needs https, or http on this machine')
  }
  // A password in a URL ends up in listings and logs; secrets have a place of their own.
  if (url.username || url.password) throw new ConductorError('source_invalid', 'The URL holds a user name or password.')
  url.hash = ''
  return url.href
}

const invalid = (source: string, why: string) =>
  new ConductorError('source_invalid', `${JSON.stringify(source.slice(0, 200))} cannot be deployed: ${why}.`)
