import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { AddressRules, isAddressRange } from './addresses.ts'

const words = (text: string) => text.trim().split(/\s+/)
const inward =
  words(`127.0.0.1 127.8.8.8 0.0.0.0 0.1.2.3 10.1.2.3 172.16.0.1 172.31.255.255 192.168.1.1 169.254.169.254 100.64.0.1 192.0.0.1
  198.18.0.1 224.0.0.1 239.1.1.1 255.255.255.255 240.0.0.1 168.63.129.16 :: ::1 ::127.0.0.1 ::a00:1 ::ffff:127.0.0.1 ::ffff:8.8.8.8
  ::ffff:a9fe:a9fe 64:ff9b::7f00:1 64:ff9b::8.8.8.8 64:ff9b:1::1 2002:7f00:1:: 2001::1 2001:db8::1 fc00::1 fd00:ec2::254 fe80::1 fe80::1%eth0
  fec0::1 ff02::1 100::1`)
const outward = words(
  '1.1.1.1 8.8.8.8 172.15.0.1 172.32.0.1 100.63.255.255 100.128.0.1 169.253.1.1 2606:4700::1111 2a00:1450:4001::1',
)

describe('addresses a sandbox may reach', () => {
  it('are not those that lead inward, in whatever clothes', () => {
    const rules = new AddressRules()
    for (const address of inward) assert.equal(rules.permits(address), false, address)
  })
  it('are the others', () => {
    const rules = new AddressRules()
    for (const address of outward) assert.equal(rules.permits(address), true, address)
  })
  it('are no names', () => {
    const rules = new AddressRules(['0.0.0.0/0'])
    for (const text of ['localhost', '', '0x7f.1', '2130706433', '127.1', '1.1.1.1%1'])
      assert.equal(rules.permits(text), false, text)
  })
  it('are also the private ones that the operator names, alone or as a range', () => {
    const rules = new AddressRules(['10.1.0.0/16', '192.168.7.7', 'fd12:3456::/32'])
    for (const address of ['10.1.2.3', '192.168.7.7', 'fd12:3456:0:0::9', 'FD12:3456::A'])
      assert.ok(rules.permits(address), address)
    for (const address of ['10.2.0.1', '192.168.7.8', 'fd12:3457::1', '::ffff:10.1.2.3'])
      assert.ok(!rules.permits(address), address)
  })
  it('are metadata services only where the very address is named', () => {
    const ranges = new AddressRules(['169.254.0.0/16', '100.64.0.0/10', 'fd00::/8', '168.63.0.0/16'])
    const exact = new AddressRules(['169.254.169.254', '168.63.129.16/32', 'fd00:0ec2::254'])
    for (const address of ['169.254.169.254', '168.63.129.16', 'fd00:ec2::254']) {
      assert.equal(ranges.permits(address), false, address)
      assert.equal(exact.permits(address), true, address)
    }
    assert.equal(ranges.permits('100.100.100.200'), false)
    assert.equal(ranges.permits('169.254.1.1'), true)
  })
  it('are named as addresses or ranges', () => {
    for (const text of ['10.0.0.0/8', '::1', 'fd00::/7', '1.2.3.4/32', '0.0.0.0/0']) assert.ok(isAddressRange(text), text)
    for (const text of ['10.0.0.0/33', 'host', '10.0.0/8', '::1/129', '1.2.3.4/', '1.2.3.4/a', 'fe80::1%1', '', '010.0.0.1']) {
      assert.ok(!isAddressRange(text), text)
    }
  })
})
