import type { ServerResponse } from 'node:http'

/** A smaller answer is in the system's hands at once, and not worth a listener. */
const bigAnswerBytes = 64 * 1024

/** Whole answers that a client has not read yet: they count as queued, like what waits in its streams. */
export class UnreadAnswers {
  readonly #responses = new Set<ServerResponse>()
  readonly #changed: () => void

  /** `changed` is called when there is more to read, and when an answer is through or given up. */
  constructor(changed: () => void) {
    this.#changed = changed
  }

  add(response: ServerResponse): void {
    if (response.writableLength < bigAnswerBytes) return
    this.#responses.add(response)
    response.on('close', () => {
      this.#responses.delete(response)
      this.#changed()
    })
    this.#changed()
  }

  get queuedBytes(): number {
    let bytes = 0
    for (const response of this.#responses) bytes += response.writableLength
    return bytes
  }
}
