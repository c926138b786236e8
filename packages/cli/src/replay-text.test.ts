import assert from 'node:assert/strict'
import test from 'node:test'
import type { Replay } from '@maestro/contract'
import { replayText } from './replay-text.ts'

const plain = { style: (_: unknown, text: string) => text }
const replay = (more: Partial<Replay>): Replay => ({
  id: 'rpl_00000000000000000001',
  session: 'ses_00000000000000000001',
  kind: 're-execution',
  state: 'done',
  frames: { matched: 3, total: 3, fidelity: 1 },
  identical: true,
  firstDivergence: null,
  differences: [],
  error: null,
  driver: 'bubblewrap',
  durationMs: 1200,
  createdAt: 0,
  ...more,
})

test('an identical replay says so', () => {
  const text = replayText(replay({}), plain).join('\n')
  assert.match(text, /^identical {2}ses_/)
  assert.match(text, /3 of 3 equal \(100 %\)/)
  assert.doesNotMatch(text, /difference/)
})

test('a diverged replay names what differs first, both sides, once', () => {
  const first = {
    kind: 'value' as const,
    key: 'tools/call now #1 response',
    frame: 4,
    pointer: '/result/content/0/text',
    recorded: '12:00',
    replayed: '12:01',
  }
  const missing = { kind: 'missing' as const, key: 'notifications/x #1', frame: 5, pointer: null, recorded: {} }
  const text = replayText(
    replay({
      identical: false,
      frames: { matched: 1, total: 3, fidelity: 1 / 3 },
      firstDivergence: first,
      differences: [first, missing],
    }),
    plain,
  ).join('\n')
  assert.match(text, /^diverged/)
  assert.match(
    text,
    /First difference: tools\/call now #1 response differs at \/result\/content\/0\/text \(frame 4\)\n {2}- recorded "12:00"\n {2}\+ replayed "12:01"/,
  )
  assert.match(text, /Then: notifications\/x #1 is missing/)
  assert.equal(text.match(/now #1/g)?.length, 1)
})

test('what a server made up cannot steer the terminal', () => {
  const evil = { kind: 'extra' as const, key: '\u001b[2J', frame: null, pointer: null, replayed: '\u001b[31m' }
  assert.doesNotMatch(
    replayText(replay({ identical: false, firstDivergence: evil, differences: [evil] }), plain).join(''),
    /\u001b/,
  )
})
