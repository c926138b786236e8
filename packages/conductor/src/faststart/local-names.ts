export interface LocalNames {
  /** Code to stand before the source, without a line break so that lines keep their numbers. */
  prefix: string
  source: string
}

// The text is anybody's, so none of these patterns may look at a stretch of it more than once.
/** Needs a `require` of the file's own: a computed path, or more than a call. */
const nativeRequire = /\brequire\s*\.\s*(?:resolve|cache|extensions)\b|\brequire\s*\(\s*[^'"\s)]/
const computedImport = /\bimport\s*\(\s*(?=[^\s'"])/g
const blank = /\s+|\/\/[^\n]*|\/\*[\s\S]*?\*\//y
const useStrict = /(['"])use strict\1/y

/** Whether the first statement asks for strict mode, which what is put before it would end. */
function asksForStrict(source: string): boolean {
  let at = 0
  for (;;) {
    blank.lastIndex = at
    if (!blank.test(source)) break
    at = blank.lastIndex
  }
  useStrict.lastIndex = at
  return useStrict.test(source)
}

function isModule(source: string, path: string): boolean {
  if (/\.[mc][jt]s$/.test(path)) return /\.m[jt]s$/.test(path)
  return /^[ \t]*(?:import\s*(?:["'{*]|[\w$]+[\s,])|export\s*[{*\w])/m.test(source)
}

/**
 * The names a module finds around it, made to mean the original file, and only where it speaks of them: joined into one file the module
 * would otherwise see the joined file's. Told by pattern: a match inside a text or comment costs a little and changes nothing.
 */
export function localNames(text: string, path: string): LocalNames {
  let source = text.startsWith('#!') ? `//${text}` : text
  const at = `maestro.at(${JSON.stringify(path)})`
  const parts: string[] = []
  if (/\bimport\.meta\b/.test(source)) parts.push(`const maestroMeta = ${at}.meta;`)
  const withImport = source.replace(computedImport, 'maestroImport(')
  if (withImport !== source) {
    source = withImport
    parts.push(`const maestroImport = ${at}.import;`)
  }
  if (!isModule(source, path)) {
    if (/\b__filename\b/.test(source)) parts.push(`var __filename = ${at}.filename;`)
    if (/\b__dirname\b/.test(source)) parts.push(`var __dirname = ${at}.dirname;`)
    if (nativeRequire.test(source)) parts.push(`var require = ${at}.require;`)
    if (/\brequire\.main\b/.test(source)) parts.push(`maestro.entered(${JSON.stringify(path)}, module);`)
  }
  if (parts.length === 0) return { prefix: '', source }
  return { prefix: `${asksForStrict(source) ? '"use strict";' : ''}${parts.join('')}`, source }
}
