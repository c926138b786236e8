import { BlockList, isIP } from 'node:net'
import { plainAddress } from './authority.ts'

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

/** Where clouds tell a machine who it is, and hand out its keys. The last of IPv4 is Azure's: public by number only. */
const metadata = new Set([
  '169.254.169.254',
  '169.254.170.2',
  '169.254.170.23',
  '100.100.100.200',
  '192.0.0.192',
  '168.63.129.16',
  'fd00:ec2::254',
  'fd00:ec2::23',
  'fd20:ce::254',
])

const mapped = new BlockList()
mapped.addSubnet('::ffff:0:0', 96, 'ipv6')

/** Which addresses sandboxes may reach: those out on the internet, and private ones that the operator names. */
export class AddressRules {
  readonly #private = new BlockList()
  readonly #exact = new Set<string>()

  /** `allowPrivate`: addresses and ranges in CIDR form, each of which `isAddressRange` holds for. */
  constructor(allowPrivate: readonly string[] = []) {
    for (const text of allowPrivate) {
      const [address = '', bits] = text.split('/')
      const full = isIP(address) === 4 ? 32 : 128
      this.#private.addSubnet(address, bits === undefined ? full : Number(bits), familyOf(address))
      if (bits === undefined || Number(bits) === full) this.#exact.add(plainAddress(address))
    }
  }

  permits(text: string): boolean {
    if (isIP(text) === 0 || text.includes('%')) return false
    const address = plainAddress(text)
    const family = familyOf(address)
    // Nobody has a reason to write an IPv4 address as a mapped one, but for getting past a check.
    if (family === 'ipv6' && mapped.check(address, 'ipv6')) return false
    // A range that holds a metadata service was hardly meant to.
    if (metadata.has(address)) return this.#exact.has(address)
    return !forbidden.check(address, family) || this.#private.check(address, family)
  }
}

/** Whether the text is an address or a range in CIDR form. */
export function isAddressRange(text: string): boolean {
  const [, address = '', bits] = /^([^/%]+)(?:\/([0-9]{1,3}))?$/.exec(text) ?? []
  const family = isIP(address)
  return family !== 0 && (bits === undefined || Number(bits) <= (family === 4 ? 32 : 128))
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return address.includes(':') ? 'ipv6' : 'ipv4'
}
