import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { heldLine } from '../sandbox/held.ts'
import type { Exit, SandboxDriver, SandboxSpec } from '../sandbox/sandbox.ts'
import { quietWorld } from '../sandbox/testing/specimen.ts'
import type { Upstream } from '../session/stages.ts'
import { HeldUpstream } from './held-upstream.ts'
import { type BundleRunnable, Standby } from './standby.ts'

class FakeUpstream implements Upstream {
  readonly id = 'sbx_x' as Upstream['id']
  readonly driver = 'fake'
  readonly pendingBytes = 0
  readonly sent: string[] = []
  say: (frame: Uint8Array) => void = () => {}
  end: (exit: Exit) => void = () => {}
  readonly exited = new Promise<Exit>(resolve => {
    this.end = resolve
  })
  send(frame: Uint8Array) {
    this.sent.push(Buffer.from(frame).toString('utf8'))
  }
  onFrame(listener: (frame: Uint8Array) => void) {
    this.say = listener
  }
  onEvent() {}
  pause() {}
  resume() {}
  async close() {
    this.end({ code: 0, signal: null, reason: 'closed', stderrTail: '' })
  }
}

const bytes = (text: string) => Buffer.from(text)

describe('an upstream that is held', () => {
  it('keeps the sign that it waits from the session, and hands over everything else in order', () => {
    const inner = new FakeUpstream()
    let held = 0
    const upstream = new HeldUpstream(inner, bytes('ENV'), () => held++)
    inner.say(bytes('{"early":1}'))
    inner.say(bytes(heldLine))
    assert.equal(held, 1)
    const frames: string[] = []
    upstream.onFrame(frame => frames.push(Buffer.from(frame).toString()))
    inner.say(bytes(heldLine))
    assert.deepEqual(frames, ['{"early":1}', heldLine], 'what it says later is its own')
    assert.equal(held, 1)
  })

  it('gets its environment once, before any frame', () => {
    const inner = new FakeUpstream()
    const upstream = new HeldUpstream(inner, bytes('ENV'), () => {})
    assert.deepEqual(inner.sent, [])
    upstream.release()
    upstream.release()
    upstream.send(bytes('{"first":1}'))
    assert.deepEqual(inner.sent, ['ENV', '{"first":1}'])
  })

  it('stands still and goes on as the one inside does, and counts its memory', () => {
    const acts: string[] = []
    const inner = Object.assign(new FakeUpstream(), {
      freeze: () => acts.push('freeze') > 0,
      thaw: () => void acts.push('thaw'),
      memoryBytes: () => 7,
    })
    const held = new HeldUpstream(inner, bytes('ENV'), () => {})
    held.release()
    const upstream: Upstream = held
    assert.equal(upstream.freeze?.(), true)
    upstream.thaw?.()
    assert.deepEqual([acts, upstream.memoryBytes?.()], [['freeze', 'thaw'], 7])
  })

  it('says so where the one inside cannot stand still', () => {
    const upstream: Upstream = new HeldUpstream(new FakeUpstream(), bytes('ENV'), () => {})
    assert.deepEqual([upstream.freeze?.(), upstream.memoryBytes?.()], [false, null])
  })
})

describe('a sandbox of a deployment with secrets', () => {
  const runnable = {
    deployment: 'dep_x',
    release: { manifest: { pingBeforeInitialize: true, startupMs: 1 } },
    runs: { kind: 'bundle', bundle: '/b', program: { runtime: 'node', entry: 'x.js' }, args: [] },
    env: { LEVEL: '1', KEY: 's3cret' },
    secretEnv: ['KEY'],
    egress: [],
    limits: {},
  } as unknown as BundleRunnable

  function standbyOf(leased: boolean, changes: Partial<BundleRunnable> = {}) {
    const inner = new FakeUpstream()
    const specs: SandboxSpec[] = []
    const start = async (spec: SandboxSpec) => {
      specs.push(spec)
      return inner
    }
    const driver = { name: 'process', start } as unknown as SandboxDriver
    const told: string[] = []
    const listener = {
      warmed: () => void told.push('warmed'),
      failed: (_: Standby, why: string) => void told.push(`failed: ${why}`),
      gone: () => void told.push('gone'),
    }
    return { inner, specs, told, standby: new Standby(driver, quietWorld(), { ...runnable, ...changes }, 'f', leased, listener) }
  }

  it('is warm when it waits, without the secret, and gets it when it is leased', async () => {
    const { inner, specs, told, standby } = standbyOf(false)
    await standby.started
    assert.deepEqual([specs[0]?.env, specs[0]?.held], [{ LEVEL: '1' }, 'bare'])
    inner.say(bytes(heldLine))
    assert.deepEqual([standby.state, told, inner.sent], ['warm', ['warmed'], []])
    standby.lease()
    assert.deepEqual(inner.sent, ['16 {"KEY":"s3cret"}'])
    await standby.end()
  })

  it('gets it as well where it is leased before it waits', async () => {
    const { inner, standby } = standbyOf(false)
    standby.lease()
    assert.deepEqual(inner.sent, [])
    await standby.started
    assert.deepEqual(inner.sent, ['16 {"KEY":"s3cret"}'])
    await standby.end()
  })

  it('never gets it where nobody leased it', async () => {
    const { inner, told, standby } = standbyOf(false)
    const ended = standby.end()
    await ended
    assert.deepEqual([inner.sent, told], [[], ['gone']])
  })

  it('gets all at once where somebody waits for it', async () => {
    const { inner, specs, standby } = standbyOf(true)
    await standby.started
    assert.deepEqual([specs[0]?.env, specs[0]?.held, inner.sent], [{ LEVEL: '1', KEY: 's3cret' }, undefined, []])
    await standby.end()
  })

  it('is not started for a value that no environment can hold', async () => {
    const { specs, told, standby } = standbyOf(false, { env: { KEY: 'a\0b' } })
    await assert.rejects(standby.started, { code: 'sandbox_start_failed' })
    assert.equal(specs.length, 0)
    assert.match(told[0] ?? '', /NUL/)
  })
})
