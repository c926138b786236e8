import { Tabs } from '@base-ui/react/tabs'
import { Link2 } from 'lucide-react'
import { saidIn } from '../../recording/frameText.ts'
import type { Row, Timeline } from '../../recording/timeline.ts'
import { Body } from '../../ui/Body.tsx'
import { Copy } from '../../ui/Copy.tsx'
import { describe } from './describe.ts'
import { FrameView } from './FrameView.tsx'
import { TimingView } from './TimingView.tsx'
import { useViewerSearch } from './viewerSearch.ts'

type Tab = 'input' | 'output' | 'frames' | 'timing'

/** The selected row: what was asked, what was answered, the exact bytes, where the time went. */
export function Details({ row, timeline }: { row: Row; timeline: Timeline }) {
  const [search, change] = useViewerSearch()
  const said = saidIn(row, timeline)
  const { name, detail } = describe(row, said)
  const exchange = row.what.kind === 'exchange' ? row.what.exchange : null
  const frames = exchange?.frames.map(ordinal => timeline.frames.get(ordinal)).filter(frame => frame !== undefined) ?? []
  const isRequest = exchange?.kind === 'request'
  const answer = said.error ?? said.output
  const tabs: { id: Tab; text: string }[] = [
    { id: 'input', text: exchange ? 'Input' : 'Event' },
    ...(exchange && exchange.kind !== 'notification' && exchange.kind !== 'denied'
      ? [{ id: 'output' as const, text: said.error ? 'Error' : 'Output' }]
      : []),
    ...(frames.length ? [{ id: 'frames' as const, text: frames.length === 1 ? 'Frame' : `Frames (${frames.length})` }] : []),
    { id: 'timing', text: 'Timing' },
  ]
  const preferred =
    search.tab ?? (isRequest && answer !== undefined ? 'output' : exchange?.kind === 'garbled' ? 'frames' : 'input')
  const tab = tabs.some(({ id }) => id === preferred) ? preferred : 'input'
  const fileName = (what: string) => `${timeline.recording.header.session}-${row.id}-${what}.json`
  return (
    <section className="details" aria-label="Selected row">
      <header className="details-head">
        <h2>{name}</h2>
        {detail && <p className="details-detail">{detail}</p>}
        <p className="hint">
          {exchange ? (row.from === 'client' ? 'Client to server' : 'Server to client') : 'Event'}
          {exchange?.tool && ` · ${exchange.method}`}
          {exchange?.requestId !== null &&
            exchange?.requestId !== undefined &&
            ` · request id ${JSON.stringify(exchange.requestId)}`}
          {' · '}
          {row.id} <Copy text={() => location.href} label="link to this row" />
        </p>
      </header>
      {exchange?.error && (
        <p className="details-error">
          {exchange.kind === 'denied' ? 'Refused by policy before it reached the server: ' : 'Error '}
          {exchange.error.code !== null && <code>{exchange.error.code}</code>} {exchange.error.message.replaceAll('_', ' ')}
        </p>
      )}
      {exchange?.state === 'tool_error' && <p className="details-error">The tool itself reported a failure (isError).</p>}
      {exchange?.state === 'cancelled' && (
        <p className="details-note">Cancelled before it was answered, or its client went away.</p>
      )}
      <Tabs.Root value={tab} onValueChange={value => change({ tab: value as Tab })}>
        <Tabs.List className="tabs" aria-label="Details">
          {tabs.map(({ id, text }) => (
            <Tabs.Tab key={id} value={id} className="tab">
              {text}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        <Tabs.Panel value="input" className="tab-panel">
          <Body value={said.input} label="input" fileName={fileName('input')} absent="It was sent without parameters." />
        </Tabs.Panel>
        <Tabs.Panel value="output" className="tab-panel">
          <ReadableContent output={said.output} />
          <Body
            value={answer}
            label={said.error ? 'error' : 'output'}
            fileName={fileName('output')}
            absent={timeline.recording.complete ? 'It was never answered.' : 'Not answered yet.'}
          />
        </Tabs.Panel>
        <Tabs.Panel value="frames" className="tab-panel">
          {frames.map(frame => (
            <FrameView key={frame.ordinal} frame={frame} session={timeline.recording.header.session} />
          ))}
        </Tabs.Panel>
        <Tabs.Panel value="timing" className="tab-panel">
          <TimingView row={row} timeline={timeline} />
        </Tabs.Panel>
      </Tabs.Root>
      {exchange && row.parent && (
        <p className="hint">
          <Link2 size={12} aria-hidden /> Happened because of{' '}
          <button type="button" className="link-button" onClick={() => change({ at: row.parent!.id })}>
            {describe(row.parent, saidIn(row.parent, timeline)).name}
          </button>
        </p>
      )}
    </section>
  )
}

const textShownMax = 4_000

/** What a tool answered for people to read, before the JSON that carries it. */
function ReadableContent({ output }: { output: unknown }) {
  const content = output !== null && typeof output === 'object' && 'content' in output ? output.content : null
  if (!Array.isArray(content)) return null
  const texts = content.filter(
    (part): part is { type: 'text'; text: string } => part?.type === 'text' && typeof part.text === 'string',
  )
  if (texts.length === 0) return null
  return (
    <div className="readable">
      {texts.map((part, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: parts of a recorded answer never move
        <p key={index}>
          {part.text.slice(0, textShownMax)}
          {part.text.length > textShownMax && '… (all of it below)'}
          {part.text === '' && <span className="none">(empty text)</span>}
        </p>
      ))}
    </div>
  )
}
