import { type Answer, Connection } from './connection.ts'

/** As many connections to one address as there are exchanges at once; idle ones are used again. */
export class Connections implements Disposable {
  readonly #url: URL
  readonly #all = new Set<Connection>()
  readonly #idle: Connection[] = []

  constructor(address: string) {
    this.#url = new URL(address)
  }

  /** Opens one that waits for the first exchange. */
  async prepare(): Promise<void> {
    this.#idle.push(await this.#open())
  }

  /**
   * Resolves when the answer is there: with the event that holds `mark`, or with the end of a body that is no event
   * stream. Rejects where the status is not 2xx or the answer does not hold the mark.
   */
  async exchange(method: string, headers: Readonly<Record<string, string>>, body: string, mark: string): Promise<Answer> {
    let connection = this.#idle.pop()
    while (connection && !connection.isOpen) connection = this.#idle.pop()
    connection ??= await this.#open()
    const answer = await connection.exchange(method, this.#url.pathname, headers, body, mark)
    if (answer.status >= 300 || !answer.body.includes(mark)) {
      throw new Error(`${this.#url}: expected ${mark}, got ${answer.status} ${answer.body.toString('utf8', 0, 500)}`)
    }
    return answer
  }

  [Symbol.dispose](): void {
    for (const connection of this.#all) connection[Symbol.dispose]()
  }

  async #open(): Promise<Connection> {
    const connection = await Connection.open(this.#url, idle => void this.#idle.push(idle))
    this.#all.add(connection)
    return connection
  }
}
