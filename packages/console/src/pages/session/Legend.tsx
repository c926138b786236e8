import { spanKinds } from './spanKinds.ts'

/** What the parts of a bar mean. */
export function Legend() {
  return (
    <ul className="legend" aria-label="Parts of a bar">
      {Object.entries(spanKinds).map(([kind, { name, meaning }]) => (
        <li key={kind} title={meaning}>
          <i className="swatch" data-is={kind} aria-hidden="true" /> {name.toLowerCase()}
        </li>
      ))}
    </ul>
  )
}
