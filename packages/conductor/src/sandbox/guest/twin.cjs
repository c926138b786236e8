'use strict'
/**
 * Runs in a guest before a Node server whose memory will be copied: each session then gets a twin of the loaded server. What such a
 * server drew by chance or read off the clock while it loaded, all twins would share. So whoever does that is told on, and is started
 * for each session instead. While the server loads the guest's clock is set to the year 2001, which also makes OpenSSL seed itself
 * anew afterwards: it does when the clock has moved by more than an hour.
 */
const crypto = require('node:crypto')
const { closeSync, writeSync } = require('node:fs')
const { syncBuiltinESMExports } = require('node:module')

const teller = 3
const RealDate = globalThis.Date
const realNow = RealDate.now
const loadingEndsMs = RealDate.UTC(2010, 0)
let loading = realNow() < loadingEndsMs
let told = false

/** Notes what a loading server used. */
function tell(what) {
  if (!loading) return
  if (realNow() >= loadingEndsMs) {
    loading = false
    globalThis.Date = RealDate
    return
  }
  if (told) return
  told = true
  try {
    writeSync(teller, what)
    closeSync(teller)
  } catch {
    // A thread of the server may have told already.
  }
}

function watch(owner, names) {
  for (const name of names) {
    const real = owner[name]
    if (typeof real !== 'function') continue
    const watched = {
      [name](...args) {
        tell(name)
        return Reflect.apply(real, this, args)
      },
    }[name]
    // Promisified forms and the like are properties of the function.
    Object.defineProperties(watched, Object.getOwnPropertyDescriptors(real))
    Object.defineProperty(owner, name, { value: watched, writable: true, configurable: true })
  }
}

// V8 keeps numbers drawn ahead, which every twin would have too: ours come from the kernel by way of OpenSSL.
const drawnAhead = new Uint32Array(256)
let used = drawnAhead.length
Math.random = function random() {
  if (loading) tell('Math.random')
  if (used >= drawnAhead.length) {
    randomFillSync(drawnAhead)
    used = 0
  }
  const high = drawnAhead[used++] >>> 5
  const low = drawnAhead[used++] >>> 6
  return (high * 0x400_0000 + low) / 0x20_0000_0000_0000
}
const { randomFillSync } = crypto

if (loading) {
  const { Crypto, SubtleCrypto } = globalThis
  watch(crypto, [
    ...['randomBytes', 'pseudoRandomBytes', 'rng', 'prng', 'randomFill', 'randomFillSync', 'randomInt', 'randomUUID'],
    ...['generateKey', 'generateKeySync', 'generateKeyPair', 'generateKeyPairSync', 'generatePrime', 'generatePrimeSync'],
    ...['createDiffieHellman', 'createECDH', 'getDiffieHellman'],
  ])
  watch(Crypto.prototype, ['getRandomValues', 'randomUUID'])
  watch(SubtleCrypto.prototype, ['generateKey'])
  syncBuiltinESMExports()
  RealDate.now = function now() {
    tell('Date.now')
    return realNow()
  }
  globalThis.Date = new Proxy(RealDate, {
    apply(target, self, args) {
      tell('Date')
      return Reflect.apply(target, self, args)
    },
    construct(target, args, newTarget) {
      if (args.length === 0) tell('Date')
      return Reflect.construct(target, args, newTarget === globalThis.Date ? target : newTarget)
    },
  })
}
