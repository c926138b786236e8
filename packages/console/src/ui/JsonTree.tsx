import { useState } from 'react'

const itemsPerStep = 100
const textShownMax = 2_000

/** A JSON value as a tree of folds. What is folded is not rendered, so a large body costs what is looked at. */
export function JsonTree({ value, name, open = 2 }: { value: unknown; name?: string; open?: number }) {
  if (value === null || typeof value !== 'object') {
    return (
      <div className="json-line">
        {name !== undefined && <span className="json-name">{name}: </span>}
        <Leaf value={value} />
      </div>
    )
  }
  return <Branch value={value} name={name} open={open} />
}

function Branch({ value, name, open }: { value: object; name: string | undefined; open: number }) {
  const [unfolded, setUnfolded] = useState(open > 0)
  const [shown, setShown] = useState(itemsPerStep)
  const entries = Object.entries(value)
  const isList = Array.isArray(value)
  const summary = isList ? `[${entries.length}]` : `{${entries.length}}`
  return (
    <details className="json-branch" open={unfolded} onToggle={event => setUnfolded(event.currentTarget.open)}>
      <summary>
        {name !== undefined && <span className="json-name">{name}: </span>}
        <span className="json-size">
          {summary}
          {!unfolded &&
            !isList &&
            entries.length > 0 &&
            ` ${entries
              .slice(0, 4)
              .map(([key]) => key)
              .join(', ')}`}
        </span>
      </summary>
      {unfolded && (
        <div className="json-children">
          {entries.slice(0, shown).map(([key, child]) => (
            <JsonTree key={key} name={key} value={child} open={open - 1} />
          ))}
          {entries.length > shown && (
            <button type="button" className="link-button" onClick={() => setShown(shown + itemsPerStep * 10)}>
              {entries.length - shown} more
            </button>
          )}
          {entries.length === 0 && <span className="json-size">empty</span>}
        </div>
      )}
    </details>
  )
}

function Leaf({ value }: { value: unknown }) {
  const [whole, setWhole] = useState(false)
  if (typeof value !== 'string') return <span className={`json-${value === null ? 'null' : typeof value}`}>{String(value)}</span>
  if (value.length <= textShownMax || whole) return <span className="json-string">{JSON.stringify(value)}</span>
  return (
    <span className="json-string">
      {JSON.stringify(value.slice(0, textShownMax)).slice(0, -1)}…{' '}
      <button type="button" className="link-button" onClick={() => setWhole(true)}>
        {value.length - textShownMax} more characters
      </button>
    </span>
  )
}
