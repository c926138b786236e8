import type { TapeEvent } from '@maestro/contract'
import type { Exchange } from '@maestro/logic'
import type { Said } from '../../recording/frameText.ts'
import type { Row } from '../../recording/timeline.ts'
import { bytes, duration, plural } from '../../ui/format.ts'
import { printed } from '../../ui/printed.ts'

interface Description {
  name: string
  detail: string
  /** How it went, in a word or two; empty where all is well or nothing was due. */
  state: string
}

/** A row in words. */
export function describe(row: Row, said: Said): Description {
  switch (row.what.kind) {
    case 'event':
      return { ...describeEvent(row.what.record.event), state: '' }
    case 'end':
      return { name: 'session ended', detail: row.what.record.reason.replaceAll('_', ' '), state: '' }
    case 'exchange':
      return { ...describeExchange(row.what.exchange, said), state: stateOf(row.what.exchange) }
  }
}

function describeExchange(exchange: Exchange, { input, output, error }: Said): Omit<Description, 'state'> {
  if (exchange.kind === 'garbled') return { name: 'not JSON-RPC', detail: 'see its bytes' }
  if (exchange.kind === 'orphan') return { name: 'response to nothing', detail: line(error ?? output) }
  const params = fieldsOf(input)
  if (exchange.tool !== null) return { name: exchange.tool, detail: line(params['arguments']) || exchange.method }
  switch (exchange.method) {
    case 'initialize': {
      const client = fieldsOf(params['clientInfo'])
      return { name: exchange.method, detail: `${line(client['name'])} ${line(client['version'])}`.trim() }
    }
    case 'notifications/progress': {
      const { progress, total, message } = params
      return {
        name: 'progress',
        detail: `${line(progress)}${total === undefined ? '' : ` of ${line(total)}`} ${line(message)}`.trim(),
      }
    }
    case 'notifications/message':
      return { name: 'log', detail: `${line(params['level'])} ${line(params['data'])}`.trim() }
    case 'notifications/cancelled':
      return { name: 'cancelled', detail: line(params['reason']) }
    case 'elicitation/create':
      return { name: exchange.method, detail: line(params['message']) }
    default:
      return { name: exchange.method.replace(/^notifications\//, ''), detail: line(input) }
  }
}

function describeEvent(event: TapeEvent): Omit<Description, 'state'> {
  switch (event.name) {
    case 'lease.granted':
      return {
        name: event.warm ? 'warm sandbox leased' : 'sandbox started and leased',
        detail: `waited ${duration(event.waitMs)}${event.startMs > 0 ? `, started in ${duration(event.startMs)}` : ''}`,
      }
    case 'session.hibernated':
      return { name: 'hibernated', detail: event.how === 'frozen' ? 'its processes were stopped' : 'its sandbox was given back' }
    case 'session.resumed':
      return {
        name: 'resumed',
        detail:
          event.how === 'frozen'
            ? `after ${duration(event.ms)}, its processes go on`
            : `after ${duration(event.ms)}, in a ${event.warm ? 'warm' : 'new'} sandbox told ${event.how === 'whole' ? 'everything' : 'the handshake'} again`,
      }
    case 'server.stderr':
      return { name: 'stderr', detail: event.text.trim() }
    case 'server.garbled':
      return { name: 'garbled output', detail: `${bytes(event.bytes)}: ${event.text}` }
    case 'server.exited':
      return {
        name: 'server exited',
        detail: `${event.signal ? `signal ${event.signal}` : `code ${event.code ?? 'unknown'}`}, ${event.reason.replaceAll('_', ' ')}`,
      }
    case 'client.gone':
      return { name: 'client gone', detail: `while request ${event.request} was open` }
    case 'egress':
      return { name: 'egress', detail: `${event.host}:${event.port} ${event.outcome}` }
    case 'egress.closed':
      return {
        name: 'egress closed',
        detail: `${event.host}:${event.port} ${event.reason}, ${bytes(event.upBytes)} up, ${bytes(event.downBytes)} down, ${event.ms} ms`,
      }
    case 'egress.exchange':
      return { name: 'egress http', detail: `${event.method} ${event.url} ${event.status || 'no answer'}, ${event.ms} ms` }
    case 'client.received':
      return { name: 'client received', detail: `frame ${event.frame}` }
    case 'policy.denied':
      return { name: 'denied', detail: `${event.tool ?? event.method}: ${event.code}` }
  }
}

function stateOf(exchange: Exchange): string {
  switch (exchange.state) {
    case 'error':
      return exchange.kind === 'denied' ? 'denied' : `error ${exchange.error?.code ?? ''}`.trim()
    case 'tool_error':
      return 'tool error'
    case 'cancelled':
      return 'cancelled'
    case 'open':
      return ''
    case 'ok':
      return exchange.children.length ? plural(exchange.children.length, 'message') : ''
  }
}

const fieldsOf = (value: unknown): Record<string, unknown> =>
  value !== null && typeof value === 'object' ? (value as Record<string, unknown>) : {}

const lineCharactersMax = 160

/** A value on one line, cut where nobody would read on. */
function line(value: unknown): string {
  if (value === undefined || value === null) return ''
  const text = typeof value === 'string' ? value : printed(value)
  return text === '{}' ? '' : text.slice(0, lineCharactersMax)
}
