'use strict'
/**
 * The main script of `node --build-snapshot`, inside a sandbox: loads dependencies of a joined program and leaves the rest to the start.
 * What a dependency does while it loads is done once for all sessions, so it may depend on nothing that differs between them: each look
 * at the clock, at dice or at the process is noted against the file that was loaded, and written to descriptor 3 with the environment
 * variables that were read. Arguments: the prepared folder, the program's file, files to load as JSON.
 */
const fs = require('node:fs')
const path = require('node:path')
const v8 = require('node:v8')
const vm = require('node:vm')

const [, , folder, file, list] = process.argv
const own = { exports: {} }
const source = `(function (require, module) {${fs.readFileSync(path.join(folder, 'start.cjs'), 'utf8')}\n})`
vm.runInThisContext(source, { importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER })(require, own)
const { surroundings, compile, readJson, run, takeEnvironment } = own.exports

/** Parts of Node that keep handles of the process from the moment they are loaded (Node 24). */
const unholdable = new Set(['http', 'http2', 'https', 'repl', 'sqlite', 'tls'])

/** Null before and after: then nothing is noted. */
let loading = null
const offences = {}
const reads = {}
const note = what => {
  if (loading !== null) offences[loading] ??= what
}

const undo = []
function watch(object, name, what) {
  const before = object[name]
  if (typeof before !== 'function') return
  object[name] = function (...args) {
    note(what)
    return Reflect.apply(before, this, args)
  }
  Object.assign(object[name], before)
  undo.push(() => {
    object[name] = before
  })
}

function watchAll() {
  watch(Math, 'random', 'random numbers')
  watch(globalThis.Date, 'now', 'the clock')
  watch(performance, 'now', 'the clock')
  watch(process, 'hrtime', 'the clock')
  watch(process, 'uptime', 'the clock')
  for (const name of ['setTimeout', 'setInterval', 'setImmediate']) watch(globalThis, name, 'a timer')
  const crypto = require('node:crypto')
  for (const name of ['randomBytes', 'randomFill', 'randomFillSync', 'randomInt', 'randomUUID', 'generateKeyPairSync']) {
    watch(crypto, name, 'random numbers')
  }
  watch(crypto.webcrypto, 'getRandomValues', 'random numbers')
  watch(globalThis.crypto, 'getRandomValues', 'random numbers')
  watch(globalThis.crypto, 'randomUUID', 'random numbers')
  for (const name of ['writeFileSync', 'writeSync', 'mkdirSync', 'createWriteStream', 'openSync', 'watch'])
    watch(fs, name, 'a file')
  for (const name of ['on', 'once', 'addListener', 'prependListener']) watch(process, name, 'process events')
  const RealDate = globalThis.Date
  globalThis.Date = new Proxy(RealDate, {
    construct(target, args, newTarget) {
      if (args.length === 0) note('the clock')
      return Reflect.construct(target, args, newTarget === globalThis.Date ? target : newTarget)
    },
    apply() {
      note('the clock')
      return RealDate()
    },
  })
  undo.push(() => {
    globalThis.Date = RealDate
  })
  for (const name of ['stdin', 'stdout', 'stderr', 'pid', 'ppid']) {
    const before = Object.getOwnPropertyDescriptor(process, name)
    if (!before) continue
    Object.defineProperty(process, name, {
      configurable: true,
      get() {
        note(`process.${name}`)
        return before.get ? before.get.call(process) : before.value
      },
    })
    undo.push(() => Object.defineProperty(process, name, before))
  }
}

/** A dependency may keep `process.env` itself, so what it keeps leads to the environment of the day. */
function watchEnvironment() {
  const before = process.env
  const real = () => (process.env === watched ? before : process.env)
  const read = key => {
    if (loading === null || typeof key !== 'string') return
    reads[loading] ??= []
    if (!reads[loading].includes(key)) reads[loading].push(key)
  }
  const setting = () => note('the environment, which it sets')
  const watched = new Proxy(before, {
    get(_, key) {
      read(key)
      return real()[key]
    },
    has(_, key) {
      read(key)
      return key in real()
    },
    set(_, key, value) {
      setting()
      return Reflect.set(real(), key, value)
    },
    deleteProperty(_, key) {
      setting()
      return Reflect.deleteProperty(real(), key)
    },
    ownKeys() {
      read('*')
      return Reflect.ownKeys(real())
    },
    getOwnPropertyDescriptor(_, key) {
      read(key)
      return Reflect.getOwnPropertyDescriptor(real(), key)
    },
  })
  process.env = watched
  undo.push(() => {
    process.env = before
  })
}

async function prepare() {
  const { entry } = readJson(path.join(folder, 'program.json'))
  const maestro = surroundings(file.slice(0, -entry.length), entry)
  const load = maestro.require
  maestro.require = name => {
    if (unholdable.has(name.replace(/^node:/, ''))) note(`${name}, which a snapshot cannot hold`)
    return load(name)
  }
  compile(folder).runInThisContext()(maestro)
  watchAll()
  watchEnvironment()
  for (const dependency of JSON.parse(list)) {
    loading = dependency
    try {
      await maestro.ahead[dependency]?.()
    } catch {
      offences[dependency] = 'something it does not find'
    }
    loading = null
  }
  for (const restore of undo) restore()
  fs.writeSync(3, JSON.stringify({ offences, reads }))

  v8.startupSnapshot.setDeserializeMainFunction(() => {
    const [, how, program, ...args] = process.argv
    process.argv.splice(1, process.argv.length, program, ...args)
    process.execArgv = process.execArgv.filter(
      (_, index, all) => !/^--snapshot-blob/.test(all[index]) && all[index - 1] !== '--snapshot-blob',
    )
    if (how === 'held') takeEnvironment()
    run(maestro)
  })
}

void prepare()
