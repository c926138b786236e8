/** Ports that an entry without one means. */
const usualPorts = [80, 443]

interface Entry {
  name: string
  /** Whether it stands for every name below `name`, but not for `name` itself. */
  below: boolean
  ports: readonly number[]
}

/** Hosts a sandbox may reach: `name`, `*.name`, either with `:port`. */
export class AllowList {
  readonly #entries: Entry[]

  constructor(hosts: readonly string[]) {
    this.#entries = hosts.map(host => {
      const [, wildcard, name, port] = /^(\*\.)?(.+?)(?::(\d+))?$/.exec(host) ?? []
      return { name: plainName(name ?? host), below: wildcard !== undefined, ports: port ? [Number(port)] : usualPorts }
    })
  }

  allows(host: string, port: number): boolean {
    const name = plainName(host)
    return this.#entries.some(
      entry => entry.ports.includes(port) && (entry.below ? name.endsWith(`.${entry.name}`) : name === entry.name),
    )
  }
}

/** Names are compared in lower case and without the root's dot. */
const plainName = (name: string): string => name.toLowerCase().replace(/\.$/, '')
