import type { EventStream } from './event-stream.ts'

/** Most events, and most bytes, kept of one session; the newest event is kept whatever its size. */
const eventsMax = 512
const bytesMax = 4 * 1024 * 1024
/** Most streams whose ids are known. */
const streamsMax = 256

interface LoggedEvent {
  stream: EventStream
  number: number
  bytes: Uint8Array
}

/**
 * The last events of one session's streams, so that a client whose connection broke can ask for what it missed
 * (`Last-Event-ID`). Bounded: what is lost first is the oldest; a stream resumed beyond that goes on with what is left.
 */
export class ResumeLog {
  readonly #streams = new Map<string, EventStream>()
  readonly #events = new Set<LoggedEvent>()
  #bytes = 0
  #lastStream = 0

  /** Registers a stream and names it. */
  open(stream: EventStream): string {
    const id = (++this.#lastStream).toString(36)
    if (this.#streams.size >= streamsMax) {
      for (const [oldId, old] of this.#streams) {
        if (!old.isEnded) continue
        this.#streams.delete(oldId)
        break
      }
    }
    this.#streams.set(id, stream)
    return id
  }

  append(stream: EventStream, number: number, bytes: Uint8Array): void {
    this.#events.add({ stream, number, bytes })
    this.#bytes += bytes.length
    for (const oldest of this.#events) {
      if (this.#events.size === 1 || (this.#events.size <= eventsMax && this.#bytes <= bytesMax)) break
      this.#events.delete(oldest)
      this.#bytes -= oldest.bytes.length
    }
  }

  /** The stream an event id belongs to and the events after it, oldest first; null for an id that is none of ours. */
  after(eventId: string): { stream: EventStream; events: Uint8Array[] } | null {
    const match = /^([0-9a-z]{1,8})-([0-9]{1,12})$/.exec(eventId)
    const stream = match === null ? undefined : this.#streams.get(match[1] as string)
    if (match === null || stream === undefined) return null
    const number = Number(match[2])
    const events: Uint8Array[] = []
    for (const event of this.#events) {
      if (event.stream === stream && event.number > number) events.push(event.bytes)
    }
    return { stream, events }
  }
}
