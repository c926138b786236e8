import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { judge, mayShowTool } from './judge.ts'

const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
test.before(() => console.log(`SEED=${seed}`))

const named = { tools: new Set(['read']), expiresAt: 1_000 }
const codeOf = (judgement: ReturnType<typeof judge>) => (judgement.verdict === 'deny' ? judgement.code : 'allow')

test('a granted tool may be called and shown, another may not', () => {
  assert.equal(codeOf(judge(named, 'tools/call', 'read', 0)), 'allow')
  assert.equal(codeOf(judge(named, 'tools/call', 'write', 0)), 'capability_insufficient')
  assert.equal(mayShowTool(named, 'read'), true)
  assert.equal(mayShowTool(named, 'write'), false)
})

test('a call that names no tool is denied where only named tools are granted', () => {
  assert.equal(codeOf(judge(named, 'tools/call', null, 0)), 'capability_insufficient')
  assert.equal(codeOf(judge({ ...named, tools: '*' }, 'tools/call', null, 0)), 'allow')
})

test('a tool named like everything is not everything', () => {
  assert.equal(
    codeOf(judge({ tools: new Set(['*', 'read']), expiresAt: 1_000 }, 'tools/call', 'write', 0)),
    'capability_insufficient',
  )
  assert.equal(codeOf(judge({ tools: new Set([]), expiresAt: 1_000 }, 'tools/call', 'read', 0)), 'capability_insufficient')
})

test('other methods than calls are allowed while the capability lives', () => {
  for (const method of ['initialize', 'tools/list', 'prompts/get', 'notifications/cancelled', 'vendor/unknown']) {
    assert.equal(codeOf(judge(named, method, null, 999)), 'allow')
  }
})

test('from the millisecond of its expiry a capability allows nothing', () => {
  const over = fc.property(
    fc.string(),
    fc.option(fc.string()),
    fc.nat(),
    fc.integer({ min: -10, max: 10 }),
    (method, tool, expiresAt, offset) => {
      const code = codeOf(judge({ tools: '*', expiresAt }, method, tool, expiresAt + offset))
      assert.equal(code, offset >= 0 ? 'capability_expired' : 'allow')
    },
  )
  fc.assert(over, { seed })
})

test('a moment or an expiry that is no number is denied', () => {
  assert.equal(codeOf(judge({ tools: '*', expiresAt: Number.NaN }, 'ping', null, 0)), 'capability_expired')
  assert.equal(codeOf(judge({ tools: '*', expiresAt: 1 }, 'ping', null, Number.NaN)), 'capability_expired')
})

test('what may not be shown may not be called, and the other way round', () => {
  const over = fc.property(fc.array(fc.string()), fc.string(), (granted, tool) => {
    const grant = { tools: new Set(granted), expiresAt: 1 }
    assert.equal(judge(grant, 'tools/call', tool, 0).verdict === 'allow', mayShowTool(grant, tool))
  })
  fc.assert(over, { seed })
})

test('fewer tools never allow more', () => {
  const over = fc.property(fc.uniqueArray(fc.string()), fc.nat(), fc.string(), (granted, keep, tool) => {
    const narrow = { tools: new Set(granted.slice(0, keep)), expiresAt: 1 }
    if (judge(narrow, 'tools/call', tool, 0).verdict === 'allow') {
      assert.equal(judge({ tools: new Set(granted), expiresAt: 1 }, 'tools/call', tool, 0).verdict, 'allow')
    }
  })
  fc.assert(over, { seed })
})

test('a denial repeats no more than the start of a long tool name', () => {
  const judgement = judge(named, 'tools/call', 'x'.repeat(1_000_000), 0)
  assert.ok(judgement.verdict === 'deny' && judgement.message.length < 256)
})
