import assert from 'node:assert/strict'
import test from 'node:test'
import { SessionCounts } from './session-counts.ts'

test('a session is counted once as opened and once as closed, however often its row is saved', () => {
  const counts = new SessionCounts()
  const row = (id: string, state: 'opening' | 'ready' | 'closed', closeReason: string | null = null) =>
    counts.saw({ id, state, closeReason })
  row('ses_1', 'opening')
  row('ses_1', 'ready')
  row('ses_2', 'opening')
  row('ses_1', 'closed', 'client')
  row('ses_1', 'closed', 'client')
  assert.deepEqual([counts.opened, counts.open, [...counts.closed]], [2, 1, [['client', 1]]])
})
