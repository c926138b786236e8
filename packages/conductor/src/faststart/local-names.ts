export interface LocalNames {
  /** Code to stand before the source, without a line break so that lines keep their numbers. */
  prefix: string
  source: string
}

/** Needs a `require` of the file's own: a computed path, or more than a call. */
const nativeRequire = /\brequire\s*\.\s*(?:resolve|cache|extensions)\b|\brequire\s*\(\s*[^'"\s)]/
const computedImport = /\bimport\s*\(\s*(?!\s*['"])/g
const strict = /^(?:\s|\/\/[^\n]*\n|\/\*[\s\S]*?\*\/)*(['"])use strict\1/

function isModule(source: string, path: string): boolean {
  if (/\.[mc][jt]s$/.test(path)) return /\.m[jt]s$/.test(path)
  return /^\s*(?:import\s*(?:["'{*]|[\w$]+[\s,])|export\s*[{*\w])/m.test(source)
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
  if (computedImport.test(source)) {
    source = source.replace(computedImport, 'maestroImport(')
    parts.push(`const maestroImport = ${at}.import;`)
  }
  if (!isModule(source, path)) {
    if (/\b__filename\b/.test(source)) parts.push(`var __filename = ${at}.filename;`)
    if (/\b__dirname\b/.test(source)) parts.push(`var __dirname = ${at}.dirname;`)
    if (nativeRequire.test(source)) parts.push(`var require = ${at}.require;`)
    if (/\brequire\.main\b/.test(source)) parts.push(`maestro.entered(${JSON.stringify(path)}, module);`)
  }
  if (parts.length === 0) return { prefix: '', source }
  return { prefix: `${strict.test(source) ? '"use strict";' : ''}${parts.join('')}`, source }
}
