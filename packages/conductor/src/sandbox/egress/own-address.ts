import { networkInterfaces } from 'node:os'
import { plainAddress } from './authority.ts'

/** Where Conductor itself listens, known once it does: any address of this machine at its port, since it may listen on all. */
export class OwnAddress {
  port = 0

  is(address: string, port: number): boolean {
    if (this.port === 0 || port !== this.port) return false
    const own = Object.values(networkInterfaces()).flatMap(list => (list ?? []).map(found => plainAddress(found.address)))
    return address.startsWith('127.') || ['0.0.0.0', '::', '::1', ...own].includes(plainAddress(address))
  }
}
