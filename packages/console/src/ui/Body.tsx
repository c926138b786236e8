import { Download } from 'lucide-react'
import { useState } from 'react'
import { Copy } from './Copy.tsx'
import { bytes } from './format.ts'
import { JsonTree } from './JsonTree.tsx'
import { printed } from './printed.ts'
import { saveFile } from './saveFile.ts'

const rawShownMax = 200_000

/** A JSON body as tree or raw, with its size, to copy and to download. `absent` says why there is none. */
export function Body({ value, label, fileName, absent }: { value: unknown; label: string; fileName: string; absent: string }) {
  const [view, setView] = useState<'tree' | 'raw'>('tree')
  const [whole, setWhole] = useState(false)
  if (value === undefined) return <p className="absent">{absent}</p>
  const text = printed(value, 2)
  const isEmpty = value === null || (typeof value === 'object' && Object.keys(value).length === 0)
  const raw = whole ? text : text.slice(0, rawShownMax)
  return (
    <section className="body" aria-label={label}>
      <div className="body-head">
        <fieldset className="segments">
          <legend className="only-heard">{label} as</legend>
          <button type="button" aria-pressed={view === 'tree'} onClick={() => setView('tree')}>
            Tree
          </button>
          <button type="button" aria-pressed={view === 'raw'} onClick={() => setView('raw')}>
            Raw
          </button>
        </fieldset>
        <span className="hint">
          {bytes(new Blob([printed(value)]).size)}
          {isEmpty && ' · empty, as the server sent it'}
        </span>
        <span className="push" />
        <Copy text={text} label={label} />
        <button
          type="button"
          className="icon-button"
          aria-label={`Download ${label}`}
          title={`Download ${label}`}
          onClick={() => saveFile(fileName, new Blob([text], { type: 'application/json' }))}
        >
          <Download size={14} aria-hidden />
        </button>
      </div>
      {view === 'tree' ? (
        <div className="json">
          <JsonTree value={value} />
        </div>
      ) : (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard
        <pre className="raw" tabIndex={0}>
          {raw}
          {raw.length < text.length && (
            <button type="button" className="link-button" onClick={() => setWhole(true)}>
              {'\n'}Show all {bytes(text.length)}
            </button>
          )}
        </pre>
      )}
    </section>
  )
}
