import { BlockList, isIP } from 'node:net'

/**
 * Address ranges no sandbox may reach, from the IANA special-purpose registries (RFC 6890 and its successors). The documentation
 * ranges of IPv4 (RFC 5737) are left out: nothing of anybody’s is there, and closed networks hand them out for hosts outside.
 */
const ranges: readonly [address: string, bits: number][] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  // Link-local, which holds the metadata services of most clouds.
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
  // Unspecified, loopback, and the IPv4-compatible addresses, which Node's list does not fold into IPv4 as it does the mapped ones.
  ['::', 96],
  // IPv4 in other clothes: translated (NAT64, both prefixes), 6to4, Teredo.
  ['64:ff9b::', 96],
  ['64:ff9b:1::', 48],
  ['2002::', 16],
  ['2001::', 23],
  ['2001:db8::', 32],
  ['3fff::', 20],
  ['100::', 64],
  ['5f00::', 16],
  ['fc00::', 7],
  ['fe80::', 10],
  ['fec0::', 10],
  ['ff00::', 8],
]

const forbidden = new BlockList()
for (const [address, bits] of ranges) forbidden.addSubnet(address, bits, familyOf(address))
/** 168.63.129.16, the platform address of Azure, is public by number only. */
forbidden.addAddress('168.63.129.16', 'ipv4')

const mapped = new BlockList()
mapped.addSubnet('::ffff:0:0', 96, 'ipv6')

/** Whether the address is out on the internet. `exempt` names private addresses that tests may reach all the same. */
export function isPublicAddress(address: string, exempt: readonly string[] = []): boolean {
  if (isIP(address) === 0) return false
  if (exempt.includes(address)) return true
  const family = familyOf(address)
  // Nobody has a reason to write an IPv4 address as a mapped one, but for getting past a check.
  if (family === 'ipv6' && mapped.check(address, 'ipv6')) return false
  return !forbidden.check(address, family)
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return address.includes(':') ? 'ipv6' : 'ipv4'
}
