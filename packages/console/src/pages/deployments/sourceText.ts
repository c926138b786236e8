import type { Source } from '@maestro/contract'

/** A source as one would type it to deploy it. */
export function sourceText(source: Source): string {
  switch (source.kind) {
    case 'npm':
      return `${source.package}@${source.version}`
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
  folder: 'folder',
  remote: 'remote server',
  recording: 'recording',
}
