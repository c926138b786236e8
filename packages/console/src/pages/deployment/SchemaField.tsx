import { Plus, X } from 'lucide-react'
import { useId, useState } from 'react'
import { fieldKind, type Schema, schemaOf } from './schema.ts'

interface Props {
  name: string
  schema: Schema
  isRequired: boolean
  value: unknown
  /** Undefined means: leave it out. */
  onChange: (value: unknown) => void
}

/** One argument, by its schema. What no form can show is typed as JSON. */
export function SchemaField({ name, schema, isRequired, value, onChange }: Props) {
  const id = useId()
  const kind = fieldKind(schema)
  const note = [schema.description, range(schema)].filter(Boolean).join(' ')
  const label = (
    <>
      {name}
      {isRequired ? (
        <span className="hint"> required</span>
      ) : (
        schema.default !== undefined && <span className="hint"> default {JSON.stringify(schema.default)}</span>
      )}
    </>
  )
  const hint = note && (
    <span className="hint" id={`${id}-hint`}>
      {note}
    </span>
  )
  const described = note ? { 'aria-describedby': `${id}-hint` } : {}

  if (kind === 'object') {
    const fields = (value ?? {}) as Record<string, unknown>
    return (
      <fieldset className="field field-group">
        <legend>{label}</legend>
        {hint}
        <ObjectFields schema={schema} value={fields} onChange={onChange} />
      </fieldset>
    )
  }
  if (kind === 'list') return <ListField {...{ name, schema, value, onChange }} label={label} hint={hint} />
  if (kind === 'boolean') {
    return (
      <div className="field">
        <label htmlFor={id}>{label}</label>
        <select
          id={id}
          value={value === undefined ? '' : String(value)}
          onChange={event => onChange(event.target.value === '' ? undefined : event.target.value === 'true')}
          {...described}
        >
          <option value="">left out</option>
          <option value="true">true</option>
          <option value="false">false</option>
        </select>
        {hint}
      </div>
    )
  }
  if (kind === 'choice') {
    const options = schema.enum ?? []
    return (
      <div className="field">
        <label htmlFor={id}>{label}</label>
        <select
          id={id}
          value={options.indexOf(value)}
          onChange={event => onChange(options[Number(event.target.value)])}
          {...described}
        >
          <option value={-1}>left out</option>
          {options.map((option, index) => (
            <option key={String(option)} value={index}>
              {String(option)}
            </option>
          ))}
        </select>
        {hint}
      </div>
    )
  }
  if (kind === 'json') return <JsonField {...{ id, label, hint, value, onChange, described }} />
  if (kind === 'text') {
    const isLong = typeof value === 'string' && (value.length > 80 || value.includes('\n'))
    const shared = {
      id,
      value: typeof value === 'string' ? value : '',
      onChange: (event: { target: { value: string } }) =>
        onChange(event.target.value === '' && !isRequired ? undefined : event.target.value),
      spellCheck: false,
      ...described,
    }
    return (
      <div className="field">
        <label htmlFor={id}>{label}</label>
        {isLong ? <textarea rows={5} {...shared} /> : <input type="text" autoComplete="off" {...shared} />}
        {hint}
      </div>
    )
  }
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        type="number"
        step={kind === 'integer' ? 1 : 'any'}
        min={schema.minimum}
        max={schema.maximum}
        value={typeof value === 'number' ? value : ''}
        onChange={event => onChange(event.target.value === '' ? undefined : Number(event.target.value))}
        {...described}
      />
      {hint}
    </div>
  )
}

export function ObjectFields({
  schema,
  value,
  onChange,
}: {
  schema: Schema
  value: Record<string, unknown>
  onChange: (value: Record<string, unknown>) => void
}) {
  const required = Array.isArray(schema.required) ? schema.required : []
  return Object.entries(schema.properties ?? {}).map(([name, part]) => (
    <SchemaField
      key={name}
      name={name}
      schema={schemaOf(part)}
      isRequired={required.includes(name)}
      value={value[name]}
      onChange={next => {
        const { [name]: _, ...rest } = value
        onChange(next === undefined ? rest : { ...value, [name]: next })
      }}
    />
  ))
}

interface ListProps {
  name: string
  schema: Schema
  value: unknown
  onChange: (value: unknown) => void
  label: React.ReactNode
  hint: React.ReactNode
}

function ListField({ name, schema, value, onChange, label, hint }: ListProps) {
  const items = Array.isArray(value) ? value : []
  const part = schemaOf(schema.items)
  const start = fieldKind(part) === 'text' ? '' : fieldKind(part) === 'choice' ? part.enum?.[0] : 0
  const put = (next: unknown[]) => onChange(next.length ? next : undefined)
  return (
    <fieldset className="field">
      <legend>{label}</legend>
      {hint}
      {items.map((item, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: an item is its place in the list
        <div className="line-fields" key={index}>
          <div className="push">
            <SchemaField
              name={`${name} ${index + 1}`}
              schema={part}
              isRequired
              value={item}
              onChange={next => put(items.with(index, next ?? start))}
            />
          </div>
          <button
            type="button"
            className="icon-button"
            aria-label={`Remove ${name} ${index + 1}`}
            onClick={() => put(items.toSpliced(index, 1))}
          >
            <X size={14} aria-hidden />
          </button>
        </div>
      ))}
      <div>
        <button type="button" className="button quiet" onClick={() => put([...items, start])}>
          <Plus size={13} aria-hidden /> Add to {name}
        </button>
      </div>
    </fieldset>
  )
}

interface JsonProps {
  id: string
  label: React.ReactNode
  hint: React.ReactNode
  value: unknown
  onChange: (value: unknown) => void
  described: { 'aria-describedby'?: string }
}

function JsonField({ id, label, hint, value, onChange, described }: JsonProps) {
  const [typed, setTyped] = useState(() => (value === undefined ? '' : JSON.stringify(value, null, 2)))
  const [wrong, setWrong] = useState<string | null>(null)
  return (
    <div className="field">
      <label htmlFor={id}>
        {label} <span className="hint">as JSON</span>
      </label>
      <textarea
        id={id}
        rows={3}
        value={typed}
        spellCheck={false}
        aria-invalid={wrong !== null}
        {...described}
        onChange={event => {
          const text = event.target.value
          setTyped(text)
          try {
            onChange(text.trim() === '' ? undefined : JSON.parse(text))
            setWrong(null)
          } catch (error) {
            setWrong(error instanceof Error ? error.message : String(error))
          }
        }}
      />
      {wrong && (
        <span className="field-error" role="alert">
          Not JSON yet: {wrong}
        </span>
      )}
      {hint}
    </div>
  )
}

function range({ minimum, maximum, minLength, maxLength, format }: Schema): string {
  const parts: string[] = []
  if (minimum !== undefined && maximum !== undefined) parts.push(`From ${minimum} to ${maximum}.`)
  else if (minimum !== undefined) parts.push(`At least ${minimum}.`)
  else if (maximum !== undefined) parts.push(`At most ${maximum}.`)
  if (minLength) parts.push(`At least ${minLength} characters.`)
  if (maxLength !== undefined) parts.push(`At most ${maxLength} characters.`)
  if (format) parts.push(`Format ${format}.`)
  return parts.join(' ')
}
