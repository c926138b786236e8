import { useState } from 'react'
import { Copy } from './Copy.tsx'
import { Commands } from './Problem.tsx'

export interface Snippet {
  name: string
  text: string
  /** Where it goes or what it does, in half a sentence. */
  note?: string
}

const remembered = 'switchboard.snippet'

/** The same thing said in several ways, one at a time; the way last chosen is remembered. */
export function Snippets({ label, snippets }: { label: string; snippets: Snippet[] }) {
  const [chosen, setChosen] = useState(() => localStorage.getItem(remembered) ?? '')
  const snippet = snippets.find(({ name }) => name === chosen) ?? snippets[0]
  if (!snippet) return null
  function choose(name: string) {
    localStorage.setItem(remembered, name)
    setChosen(name)
  }
  return (
    <div className="snippets">
      <h2 className="label">{label}</h2>
      <fieldset className="segments">
        <legend className="only-heard">{label}</legend>
        {snippets.map(({ name }) => (
          <button type="button" key={name} aria-pressed={name === snippet.name} onClick={() => choose(name)}>
            {name}
          </button>
        ))}
      </fieldset>
      <div className="snippet">
        <pre>
          <code>{snippet.text}</code>
        </pre>
        <Copy text={snippet.text} label={`${snippet.name} snippet`} />
      </div>
      {snippet.note && (
        <p className="hint">
          <Commands text={snippet.note} />
        </p>
      )}
    </div>
  )
}
