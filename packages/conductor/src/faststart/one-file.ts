import { readFile, realpath } from 'node:fs/promises'
import { builtinModules } from 'node:module'
import { dirname, extname, join, sep } from 'node:path'
import { ConductorError } from '@maestro/contract'
import * as esbuild from 'esbuild'
import type { World } from '../world.ts'
import { type LocalNames, localNames } from './local-names.ts'

/** A release's program and what it imports, in one piece of JavaScript for `loader/start.cjs` to run. */
export interface OneFile {
  text: string
  /** Files of dependencies that the program's own package imports: what may be loaded ahead, relative to the bundle. */
  dependencies: string[]
}

/** Bounds of what a bundle can make us do. The largest servers known have 12 MB of source. */
const sourceBytesMax = 32 * 1024 * 1024
const textBytesMax = 48 * 1024 * 1024
const filesMax = 8000
const buildMsMax = 30_000

/** The program cannot be one file; the message says why, for people. */
export class NotOneFile extends Error {}

const scripts = new Set(['.js', '.mjs', '.cjs', '.ts', '.mts', '.cts', ''])
const builtins = new Set([...builtinModules, ...builtinModules.map(name => `node:${name}`)])

/**
 * Joins the modules of a program, each still run when it would be run, at its own place (`import.meta`, `__dirname`) and under the same
 * conditions. What cannot be joined, such as a native addon or a computed `require`, is loaded from the bundle as before.
 * Nothing of the bundle is run. Untrusted: no file outside the bundle is read, whatever an import says. Throws `NotOneFile`.
 */
export async function joinModules(
  bundle: string,
  entry: string,
  world: World,
  signal: AbortSignal = new AbortController().signal,
): Promise<OneFile> {
  const root = await realpath(bundle)
  const end = () => void esbuild.stop()
  signal.addEventListener('abort', end, { once: true })
  try {
    const first = await build(root, entry, [], world)
    const dependencies = boundaries(first.metafile, ownFolder(entry), entry)
    const { text } = await build(root, entry, dependencies, world)
    if (text.length > textBytesMax) throw new NotOneFile(`it would be more than ${textBytesMax / 1024 / 1024} MiB`)
    return { text, dependencies }
  } finally {
    signal.removeEventListener('abort', end)
    // Its process would stay, with all it read, until the next time.
    await esbuild.stop()
  }
}

async function build(root: string, entry: string, ahead: readonly string[], world: World) {
  const ended = new AbortController()
  const late = world
    .sleep(buildMsMax, ended.signal)
    .then(() => Promise.reject(new NotOneFile(`joining took more than ${buildMsMax / 1000} s`)))
  try {
    const { outputFiles, metafile } = await Promise.race([
      late,
      esbuild.build({
        stdin: { contents: mainModule(root, entry, ahead), resolveDir: root, loader: 'js', sourcefile: 'start' },
        absWorkingDir: root,
        bundle: true,
        write: false,
        metafile: true,
        format: 'esm',
        platform: 'node',
        target: `node${process.versions.node}`,
        conditions: [],
        mainFields: ['main'],
        // Files of a bundle are data to us: no settings are taken from it, and no promise of a package to have no side effects.
        tsconfigRaw: '{}',
        ignoreAnnotations: true,
        keepNames: true,
        legalComments: 'none',
        logLevel: 'silent',
        define: { 'require.main': 'maestro.main', 'import.meta': 'maestroMeta' },
        plugins: [bundleOnly(root, new Set(ahead))],
      }),
    ])
    return { text: asFunction(outputFiles[0]!.text), metafile }
  } catch (failure) {
    if (failure instanceof NotOneFile || failure instanceof ConductorError) throw failure
    const [error] = (failure as Partial<esbuild.BuildFailure>).errors ?? []
    throw new NotOneFile((error?.text ?? String(failure)).slice(0, 300))
  } finally {
    ended.abort()
    late.catch(() => {})
  }
}

/** Everything behind `import()`: a module then runs when it is asked for and not before. */
function mainModule(root: string, entry: string, ahead: readonly string[]): string {
  const load = (path: string) => `() => import(${JSON.stringify(join(root, path))})`
  const lines = ahead.map(path => `${JSON.stringify(path)}: ${load(path)},`)
  return `maestro.ahead = {${lines.join('\n')}}\nmaestro.run = ${load(entry)}`
}

/** The output has no `import` and no `export` left, so it is as good as the body of a function. */
const asFunction = (text: string): string => `(function (maestro, require) {"use strict";\n${text}\n})`

function bundleOnly(root: string, marked: ReadonlySet<string>): esbuild.Plugin {
  return {
    name: 'bundle only',
    setup(build) {
      let bytes = 0
      let files = 0
      const asked = Symbol('asked')
      const inBundle = (path: string) => path.startsWith(root + sep)
      const relative = (path: string) =>
        path
          .slice(root.length + 1)
          .split(sep)
          .join('/')
      const native = (path: string, importer: string) => ({ path, namespace: 'native', pluginData: importer })

      build.onResolve({ filter: /.*/ }, async ({ path, importer, resolveDir, kind, pluginData, namespace }) => {
        if (pluginData === asked || namespace === 'native') return null
        if (builtins.has(path) || path.startsWith('node:')) return { path, namespace: 'builtin' }
        const from = importer === '' || !inBundle(importer) ? '' : relative(importer)
        const found = await build.resolve(path, { importer, resolveDir, kind, namespace, pluginData: asked })
        if (found.errors.length > 0 || found.external) return native(path, from)
        const real = await realpath(found.path).catch(() => '')
        // A path that leads out of the bundle leads nowhere in a sandbox; there the program will see for itself.
        if (!inBundle(real)) return native(path, from)
        if (extname(real) === '.json') return { path: real }
        if (!scripts.has(extname(real))) return native(path, from)
        return { path: real }
      })
      build.onLoad({ filter: /.*/, namespace: 'builtin' }, ({ path }) => ({
        contents: `module.exports = maestro.require(${JSON.stringify(path)})`,
        loader: 'js',
      }))
      build.onLoad({ filter: /.*/, namespace: 'native' }, ({ path, pluginData }) => ({
        contents: `module.exports = maestro.at(${JSON.stringify(pluginData)}).require(${JSON.stringify(path)})`,
        loader: 'js',
      }))
      build.onLoad({ filter: /.*/, namespace: 'file' }, async ({ path }) => {
        if (!inBundle(path)) throw new NotOneFile('an import leads out of the bundle')
        const source = await readFile(path, 'utf8')
        bytes += source.length
        if (++files > filesMax) throw new NotOneFile(`it has more than ${filesMax} files`)
        if (bytes > sourceBytesMax) throw new NotOneFile(`its source is more than ${sourceBytesMax / 1024 / 1024} MiB`)
        if (extname(path) === '.json') return { contents: source, loader: 'json' }
        const place = relative(path)
        const names = localNames(source, place)
        return {
          contents: prefixed(names, marked.has(place) ? `maestro.loaded(${JSON.stringify(place)});` : ''),
          loader: ['.ts', '.mts', '.cts'].includes(extname(path)) ? 'ts' : 'js',
          resolveDir: dirname(path),
        }
      })
    },
  }
}

const prefixed = ({ prefix, source }: LocalNames, mark: string): string =>
  prefix === '' && mark === '' ? source : `${prefix}${mark}${source}`

const ownFolder = (entry: string): string => {
  const parts = entry.split('/')
  const last = parts.lastIndexOf('node_modules')
  if (last < 0) return ''
  const deep = parts[last + 1]?.startsWith('@') ? 3 : 2
  return `${parts.slice(0, last + deep).join('/')}/`
}

/** Files of others that files of the program's own package import, in the order a depth-first run comes upon them. */
function boundaries(metafile: esbuild.Metafile, own: string, entry: string): string[] {
  const isOwn = (path: string) => path.startsWith(own) && !path.slice(own.length).includes('node_modules/')
  const seen = new Set<string>()
  const found = new Set<string>()
  const visit = (path: string) => {
    if (seen.has(path)) return
    seen.add(path)
    for (const { path: next, external } of metafile.inputs[path]?.imports ?? []) {
      if (external || next.includes(':')) continue
      if (isOwn(next)) visit(next)
      else if (next.includes('node_modules/') && extname(next) !== '.json') found.add(next)
    }
  }
  visit(entry)
  return [...found]
}
