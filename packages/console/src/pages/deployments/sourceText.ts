import type { Source } from '@maestro/contract'

/** A source as one would type it to deploy it. */
export function sourceText(source: Source): string {
  switch (source.kind) {
    case 'npm':
      return `${source.package}@${source.version}`
    case 'pypi':
      return `pypi:${source.package}@${source.version}`
    case 'file':
    case 'folder':
      return source.path
    case 'remote':
      return source.url
    case 'recording':
      return source.session
  }
}

export const sourceKinds: Record<Source['kind'], string> = {
  npm: 'npm package',
  pypi: 'PyPI package',
  folder: 'folder',
  file: 'program file',
  remote: 'remote server',
  recording: 'recording',
}
