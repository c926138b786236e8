import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { PreparedStart } from '../session/stages.ts'
import { chooseStart } from './choose-start.ts'
import type { BundleRunnable } from './standby.ts'

const prepared: PreparedStart = {
  folder: '/p',
  kinds: ['snapshot', 'one-file'],
  holds: true,
  reads: { snapshot: ['DEBUG'], ahead: ['DEBUG', 'FORCE_COLOR'] },
}
const runnable = (env: Record<string, string>, secretEnv: string[], more: Partial<BundleRunnable['runs']> = {}) =>
  ({
    env,
    secretEnv,
    runs: { kind: 'bundle', bundle: '/b', program: { runtime: 'node', entry: 'x.js' }, args: [], prepared, ...more },
  }) as unknown as BundleRunnable

describe('a sandbox', () => {
  it('is started the fastest way', () => {
    const chosen = chooseStart(runnable({ LEVEL: '1' }, []), false)
    assert.deepEqual(chosen, { prepared: { folder: '/p', kind: 'snapshot' }, env: { LEVEL: '1' }, late: null })
  })

  it('is not started from a snapshot that looked at a variable before it had its value', () => {
    assert.equal(chooseStart(runnable({ DEBUG: '*' }, []), false).prepared?.kind, 'one-file')
    const readsAll = { ...prepared, reads: { snapshot: ['*'], ahead: ['*'] } }
    assert.equal(chooseStart(runnable({ LEVEL: '1' }, [], { prepared: readsAll }), false).prepared?.kind, 'one-file')
    assert.equal(chooseStart(runnable({}, [], { prepared: readsAll }), false).prepared?.kind, 'snapshot')
  })

  it('that nobody leased has no secret, and knows what to mask', () => {
    const { env, late, held, masked } = chooseStart(runnable({ LEVEL: '1', KEY: 's3cret' }, ['KEY']), false)
    assert.deepEqual([env, late, held, masked], [{ LEVEL: '1' }, { KEY: 's3cret' }, 'loaded', { KEY: 's3cret' }])
  })

  it('that somebody waits for has all at once', () => {
    const chosen = chooseStart(runnable({ KEY: 's3cret' }, ['KEY']), true)
    assert.deepEqual([chosen.env, chosen.late, chosen.held], [{ KEY: 's3cret' }, null, undefined])
  })

  it('loads nothing ahead that would read a secret, nor what could not be held', () => {
    const oneFile = { ...prepared, kinds: ['one-file'] as const }
    const heldAs = (secret: string, changes: Partial<PreparedStart> = {}) =>
      chooseStart(runnable({ [secret]: 's3cret' }, [secret], { prepared: { ...oneFile, ...changes } }), false).held
    assert.equal(heldAs('KEY'), 'loaded')
    assert.equal(heldAs('FORCE_COLOR'), 'bare')
    assert.equal(heldAs('KEY', { holds: false }), 'bare')
    assert.equal(chooseStart(runnable({ DEBUG: 's3cret' }, ['DEBUG']), false).held, 'bare')
  })

  it('waits as well where nothing was prepared, whatever runs it', () => {
    for (const runtime of ['node', 'python', 'native'] as const) {
      const chosen = chooseStart(
        runnable({ KEY: 's3cret' }, ['KEY'], { prepared: null, program: { runtime, entry: 'x' } }),
        false,
      )
      assert.deepEqual([chosen.held, chosen.env], ['bare', {}])
    }
  })
})
