import { ConductorError, parseId, type SessionId } from '@maestro/contract'

/** What a deployment's source text means, before anything is looked up. */
export type ParsedSource =
  /** `range` is a version, a range or a tag; `*` where none was given: the newest that runs on this Node. */
  | { kind: 'npm'; package: string; range: string }
  /** `package` may name extras: `mcp[cli]`. `range` is a version or a PEP 440 range; `*` where none was given. */
  | { kind: 'pypi'; package: string; range: string }
  | { kind: 'folder'; path: string }
  | { kind: 'file'; path: string }
  | { kind: 'remote'; url: string }
  | { kind: 'recording'; session: SessionId }

const packageName = /^(?:@[a-z0-9~-][a-z0-9._~-]*\/)?[a-zA-Z0-9~][a-zA-Z0-9._~-]*$/
// Versions, ranges and tags. No colon and no slash: those make npm fetch from git, a URL or a file.
const packageRange = /^[0-9A-Za-z*^~<>=|.+\- ]+$/
const pypiName = /^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$/
const pypiExtras = /^\[[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*(?: *, *[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*)*\]$/
const pypiVersion = /^\d[0-9A-Za-z.!+]{0,99}$/
const pypiRange = /^(?:===|==|!=|~=|<=|>=|<|>)\d[0-9A-Za-z.!+]{0,99}(?:\.\*)?$/

/**
 * Reads a source as a person writes it: `name`, `@scope/name@1.2`, `pypi:name@1.2`, `./folder`, `./program`, `https://…`, `ses_…`.
 * Pure: `look` says what a path is here. Throws `source_invalid`.
 */
export function parseSource(text: string, look: (path: string) => 'folder' | 'file' | null): ParsedSource {
  const source = text.trim()
  if (source.includes('\0')) throw invalid(source, 'it holds a NUL character')
  if (source.startsWith('ses_')) {
    const session = parseId('ses', source)
    if (!session) throw invalid(source, 'a session id is ses_ and 20 lower-case letters or digits')
    return { kind: 'recording', session }
  }
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(source)) return { kind: 'remote', url: remoteUrl(source) }
  if (/^pypi:/i.test(source)) return pypiSource(source)
  if (/^[./~]/.test(source)) return { kind: look(source) === 'file' ? 'file' : 'folder', path: source }
  // A bare word is a folder where there is one; a file is more likely to be there by chance than a package to be meant.
  if (source !== '' && look(source) === 'folder') return { kind: 'folder', path: source }
  return npmSource(source)
}

function npmSource(source: string): ParsedSource {
  const at = source.indexOf('@', 1)
  const name = at < 0 ? source : source.slice(0, at)
  const range = at < 0 ? '*' : source.slice(at + 1).trim()
  if (!packageName.test(name) || name.length > 214 || name === 'node_modules') {
    throw invalid(source, 'it is neither a package name, nor a path, nor a URL')
  }
  if (!packageRange.test(range)) throw invalid(source, 'what follows the @ is not a version, a range or a tag')
  return { kind: 'npm', package: name, range }
}

function pypiSource(source: string): ParsedSource {
  const [, name = '', extras = '', rest = ''] = /^pypi:\s*([A-Za-z0-9._-]*)\s*(\[[^\]]*\])?(.*)$/i.exec(source) ?? []
  if (!pypiName.test(name) || name.length > 214) throw invalid(source, 'what follows pypi: is not the name of a package')
  if (extras !== '' && !pypiExtras.test(extras)) throw invalid(source, 'what is in the brackets is not a list of extras')
  const range = rest
    .trim()
    .replace(/^@/, '')
    .replace(/\s*([~<>=!]+|,)\s*/g, '$1')
    .trim()
  const given = range === '' || range === 'latest' ? '*' : range
  const isMissing = rest.trim() === '@'
  if (isMissing || !(given === '*' || pypiVersion.test(given) || given.split(',').every(part => pypiRange.test(part))))
    throw invalid(source, 'what follows the name is not a version or a range')
  return { kind: 'pypi', package: `${name}${extras.replaceAll(' ', '')}`, range: given }
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
