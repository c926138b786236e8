'use strict'
/**
 * Runs inside the sandbox in place of the program's file and starts the program: from one file, from a snapshot that holds its
 * dependencies already loaded, or as it is; at once, or held until its environment comes. Arguments: how, the program's file, its own.
 */
const fs = require('node:fs')
const nodeModule = require('node:module')
const path = require('node:path')
const { pathToFileURL } = require('node:url')
const vm = require('node:vm')

const heldLine = '{"maestro":"held"}\n'

/** What a joined program (see `one-file.ts`) is given: its surroundings as they were before it was joined. */
function surroundings(root, entry) {
  const places = new Map()
  const maestro = {
    ahead: {},
    run: null,
    /** `require.main`, once the entry has asked. */
    main: undefined,
    loadedPaths: [],
    // Asked for by name, `process` would have all its streams opened to be listed.
    require: name => (name === 'process' || name === 'node:process' ? process : require(name)),
    loaded(file) {
      maestro.loadedPaths.push(file)
    },
    entered(file, module) {
      if (file === entry) maestro.main = module
    },
    at(file) {
      let place = places.get(file)
      if (!place) {
        place = placeOf(maestro, path.join(root, file), file === entry)
        places.set(file, place)
      }
      return place
    },
  }
  return maestro
}

function placeOf(maestro, filename, isMain) {
  const url = pathToFileURL(filename).href
  let ownRequire = null
  const requireHere = name => {
    ownRequire ??= nodeModule.createRequire(filename)
    return ownRequire(name)
  }
  Object.defineProperty(requireHere, 'main', { get: () => maestro.main })
  for (const name of ['resolve', 'cache', 'extensions']) {
    Object.defineProperty(requireHere, name, {
      get() {
        ownRequire ??= nodeModule.createRequire(filename)
        return ownRequire[name]
      },
    })
  }
  const resolve = name => {
    if (nodeModule.isBuiltin(name)) return name.startsWith('node:') ? name : `node:${name}`
    if (/^(?:file|data|node):/.test(name)) return name
    if (/^\.{0,2}\//.test(name)) return new URL(name, url).href
    return pathToFileURL(requireHere.resolve(name)).href
  }
  return {
    filename,
    dirname: path.dirname(filename),
    require: requireHere,
    import: name => importQuietly(resolve(String(name))),
    meta: { __proto__: null, dirname: path.dirname(filename), filename, main: isMain, resolve, url },
  }
}

/** In a snapshot this goes through a part of Node that calls itself experimental on standard error; the program would not have. */
function importQuietly(url) {
  const { emitWarning } = process
  process.emitWarning = () => {}
  try {
    return import(url)
  } finally {
    process.emitWarning = emitWarning
  }
}

/** Compiles the joined program, with the code kept from an earlier run where that still fits. */
function compile(folder) {
  const filename = path.join(folder, 'program.js')
  let cachedData
  try {
    cachedData = fs.readFileSync(path.join(folder, 'program.cache'))
  } catch {
    // Slower, no more.
  }
  return new vm.Script(fs.readFileSync(filename, 'utf8'), { filename, cachedData })
}

/** Blocks until the environment has come, and takes exactly its line: what stands behind it is the program's. */
function takeEnvironment() {
  fs.writeSync(1, heldLine)
  let length = ''
  for (;;) {
    const digit = String.fromCharCode(readBytes(1)[0])
    if (digit === ' ') break
    length += digit
    if (length.length > 9) process.exit(125)
  }
  const text = readBytes(Number(length) + 1).toString('utf8')
  for (const [name, value] of Object.entries(JSON.parse(text))) process.env[name] = value
}

function readBytes(count) {
  const bytes = Buffer.alloc(count)
  for (let have = 0; have < count; ) {
    let got = 0
    try {
      got = fs.readSync(0, bytes, have, count - have, null)
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1)
      continue
    }
    // Nobody wants the program any more.
    if (got === 0) process.exit(0)
    have += got
  }
  return bytes
}

/** A program that fails while it loads ends the process, as it would by itself. */
function run(maestro) {
  maestro.run().catch(error => {
    process.nextTick(() => {
      throw error
    })
  })
}

async function loadAhead(maestro, files) {
  for (const file of files) {
    try {
      await maestro.ahead[file]?.()
    } catch {
      // The program will meet the same failure where it can do something about it.
    }
  }
}

const readJson = file => JSON.parse(fs.readFileSync(file, 'utf8'))

/** Tells on descriptor 3, once asked there, what was loaded, and the code that was compiled by then. */
function reportWhenAsked(maestro, script) {
  const net = require('node:net')
  const line = new net.Socket({ fd: 3 })
  line.unref()
  line.once('data', () => {
    const code = script.createCachedData()
    line.ref()
    line.write(`${JSON.stringify({ loaded: maestro.loadedPaths })}\n`)
    line.end(code)
  })
}

async function start() {
  const [, self, how, file, ...args] = process.argv
  process.argv.splice(1, process.argv.length, file, ...args)
  if (how === 'plain') {
    takeEnvironment()
    nodeModule.runMain()
    return
  }
  const folder = path.dirname(self)
  const { entry, ahead } = readJson(path.join(folder, 'program.json'))
  if (how === 'bare') takeEnvironment()
  const maestro = surroundings(file.slice(0, -entry.length), entry)
  const script = compile(folder)
  script.runInThisContext()(maestro)
  if (how === 'record') reportWhenAsked(maestro, script)
  if (how === 'held') {
    await loadAhead(maestro, ahead)
    takeEnvironment()
  }
  run(maestro)
}

module.exports = { surroundings, compile, loadAhead, readJson, run, takeEnvironment }
if (require.main === module) void start()
