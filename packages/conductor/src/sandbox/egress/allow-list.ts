import { isIP, isIPv6 } from 'node:net'
import { domainToASCII } from 'node:url'
import { plainAddress, plainName, type Target } from './authority.ts'

/** Ports that an entry without one means. */
const usualPorts = [80, 443]

interface Entry {
  name: string
  /** Whether it stands for every name below `name`, but not for `name` itself. */
  below: boolean
  ports: readonly number[]
}

/** Hosts a sandbox may reach: `name`, `*.name`, an address, each also with `:port`. What is no host allows nothing. */
export class AllowList {
  readonly #entries: Entry[]

  constructor(hosts: readonly string[]) {
    this.#entries = hosts.flatMap(host => entryOf(host) ?? [])
  }

  /** `target` as `parseAuthority` gives it. */
  allows({ host, port }: Target): boolean {
    const isName = isIP(host) === 0
    return this.#entries.some(
      entry => entry.ports.includes(port) && (entry.below ? isName && host.endsWith(`.${entry.name}`) : host === entry.name),
    )
  }
}

function entryOf(text: string): Entry | null {
  if (isIPv6(text)) return { name: plainAddress(text), below: false, ports: usualPorts }
  const [, wildcard, host = '', digits] = /^(\*\.)?(.+?)(?::([0-9]{1,5}))?$/.exec(text) ?? []
  // What is more than a host: the way to ASCII would leave it off without a word.
  if (/[\s/?#@\\%]/.test(host)) return null
  const inner = /^\[(.+)\]$/.exec(host)?.[1]
  const name = inner === undefined ? plainName(domainToASCII(host)) : isIPv6(inner) ? plainAddress(inner) : null
  if (name === null || (wildcard !== undefined && isIP(name) !== 0)) return null
  // The way to ASCII makes addresses of numbers in odd clothes; a list says what it means.
  if (isIP(name) === 4 && name !== host) return null
  return { name, below: wildcard !== undefined, ports: digits === undefined ? usualPorts : [Number(digits)] }
}
