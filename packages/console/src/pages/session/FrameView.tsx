import type { FrameRecord } from '@maestro/contract'
import { Download } from 'lucide-react'
import { useState } from 'react'
import { hexOf, isText, textOf } from '../../recording/frameText.ts'
import { Copy } from '../../ui/Copy.tsx'
import { Fact, Facts } from '../../ui/Facts.tsx'
import { bytes, clock, count, duration, exact } from '../../ui/format.ts'
import { saveFile } from '../../ui/saveFile.ts'

const charactersShownMax = 100_000
const hexBytesShownMax = 16_384

/** One frame, byte for byte, with its place on the tape and both clocks. */
export function FrameView({ frame, session }: { frame: FrameRecord; session: string }) {
  const [view, setView] = useState<'text' | 'hex'>(() => (isText(frame.bytes) ? 'text' : 'hex'))
  const [whole, setWhole] = useState(false)
  const all = view === 'text' ? textOf(frame) : hexOf(whole ? frame.bytes : frame.bytes.subarray(0, hexBytesShownMax))
  const shown = whole ? all : all.slice(0, charactersShownMax)
  const isCut = view === 'text' ? shown.length < all.length : !whole && frame.bytes.length > hexBytesShownMax
  const wallMs = frame.wallUs / 1000
  const micros = String(frame.wallUs % 1000).padStart(3, '0')
  return (
    <section className="frame" aria-label={`Frame ${frame.ordinal}`}>
      <div className="body-head">
        <h3>
          Frame {frame.ordinal}{' '}
          <span className="hint">{frame.direction === 'inward' ? 'client → server' : 'server → client'}</span>
        </h3>
        <span className="push" />
        <fieldset className="segments">
          <legend className="only-heard">Show frame {frame.ordinal} as</legend>
          <button type="button" aria-pressed={view === 'text'} onClick={() => setView('text')}>
            Text
          </button>
          <button type="button" aria-pressed={view === 'hex'} onClick={() => setView('hex')}>
            Hex
          </button>
        </fieldset>
        <Copy text={() => textOf(frame)} label={`frame ${frame.ordinal}`} />
        <button
          type="button"
          className="icon-button"
          aria-label={`Download frame ${frame.ordinal}`}
          title="Download the exact bytes"
          onClick={() => saveFile(`${session}-frame-${frame.ordinal}.json`, new Blob([frame.bytes as BlobPart]))}
        >
          <Download size={14} aria-hidden />
        </button>
      </div>
      <Facts row>
        <Fact name="Size">{bytes(frame.bytes.length)}</Fact>
        <Fact name="Wall clock">
          <time dateTime={new Date(wallMs).toISOString()} title={exact(wallMs)}>
            {clock(wallMs)}
            {micros}
          </time>
        </Fact>
        <Fact name="Since the tape was opened">
          {duration(frame.monotonicUs / 1000)} <span className="hint">({count(frame.monotonicUs)} µs)</span>
        </Fact>
      </Facts>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard */}
      <pre className={view === 'hex' ? 'raw raw-hex' : 'raw'} tabIndex={0}>
        {shown}
        {isCut && (
          <button type="button" className="link-button" onClick={() => setWhole(true)}>
            {'\n'}Show all {bytes(frame.bytes.length)}
          </button>
        )}
      </pre>
    </section>
  )
}
