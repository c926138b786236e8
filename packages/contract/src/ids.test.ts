import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { idPrefixes, localTenant, makeId, parseId } from './ids.ts'

test('an id that was made can be read back under its own prefix and no other', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...idPrefixes),
      fc.nat({ max: 2 ** 45 }),
      fc.uint8Array({ minLength: 11, maxLength: 11 }),
      (prefix, now, random) => {
        const id = makeId(prefix, now, random)
        return parseId(prefix, id) === id && idPrefixes.every(other => other === prefix || parseId(other, id) === null)
      },
    ),
  )
})

test('ids sort by the time they were made', () => {
  fc.assert(
    fc.property(
      fc.nat({ max: 2 ** 45 }),
      fc.integer({ min: 1, max: 10_000 }),
      fc.uint8Array({ minLength: 11 }),
      fc.uint8Array({ minLength: 11 }),
      (now, later, a, b) => makeId('ses', now, a) < makeId('ses', now + later, b),
    ),
  )
})

test('the local tenant has an id like any other', () => assert.equal(parseId('ten', localTenant), localTenant))
