import './deploy.css'
import type { DeployRequest, EnvValue, LogEntry } from '@maestro/contract'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router'
import { Plus, X } from 'lucide-react'
import { type FormEvent, useEffect, useId, useRef, useState } from 'react'
import { call } from '../../api/call.ts'
import { followLogs } from '../../api/followLogs.ts'
import { queries } from '../../api/queries.ts'
import { Elsewhere } from '../../shell/Elsewhere.tsx'
import { announce } from '../../ui/Announcer.tsx'
import { duration } from '../../ui/format.ts'
import { Page } from '../../ui/Page.tsx'
import { Problem } from '../../ui/Problem.tsx'
import { quoted } from '../../ui/quoted.ts'

const route = getRouteApi('/deployments/new')

interface Variable {
  key: number
  name: string
  from: 'value' | 'secret'
  text: string
}

interface Draft {
  source: string
  name: string
  variables: Variable[]
  args: string
  egress: string
  egressRecord: boolean
  bin: string
  memoryMiB: string
  pids: string
  diskMiB: string
  allowScripts: boolean
}

const limitFields = [
  { key: 'memoryMiB', label: 'Memory', hint: 'Of one sandbox, MiB. Left empty, as the operator set it.', flag: '--memory' },
  { key: 'pids', label: 'Processes', hint: 'Processes and threads of one sandbox.', flag: '--pids' },
  { key: 'diskMiB', label: 'Disk', hint: 'Working folder, /tmp and shared memory of one sandbox, MiB.', flag: '--disk' },
] as const

/** Installs a release where it is missing and deploys it. */
export default function DeployPage() {
  const { source } = route.useSearch()
  const navigate = useNavigate()
  const client = useQueryClient()
  const [draft, setDraft] = useState<Draft>({
    source: source ?? '',
    name: '',
    variables: [],
    args: '',
    egress: '',
    egressRecord: false,
    bin: '',
    memoryMiB: '',
    pids: '',
    diskMiB: '',
    allowScripts: false,
  })
  const change = (part: Partial<Draft>) => setDraft(now => ({ ...now, ...part }))
  const request = requestOf(draft)
  const deploy = useMutation({
    mutationFn: () => call('deploy', { body: request }),
    onSuccess: async ({ deployment, installed, changed }) => {
      announce(
        `${deployment.name} ${changed ? 'deployed' : 'was deployed already; nothing changed'}${installed ? ', release installed' : ''}`,
      )
      void client.invalidateQueries({ queryKey: ['deployments'] })
      await navigate({ to: '/deployments/$id', params: { id: deployment.name } })
    },
  })
  const entries = useLogWhile(deploy.isPending)
  function submit(event: FormEvent) {
    event.preventDefault()
    deploy.mutate()
  }
  return (
    <Page title="Deploy a server" above={<Link to="/deployments">Deployments</Link>}>
      <div className="deploy">
        <form className="form" onSubmit={submit}>
          <Field
            label="Source"
            hint="An npm package with or without @version, pypi:package for one from PyPI, a folder or a program on Conductor’s machine, the https URL of a remote MCP server, or the id of a recorded session."
          >
            {id => (
              <input
                {...id}
                type="text"
                required
                maxLength={4096}
                placeholder="@modelcontextprotocol/server-everything@2025.9.25"
                autoComplete="off"
                spellCheck={false}
                value={draft.source}
                onChange={event => change({ source: event.target.value })}
              />
            )}
          </Field>
          <Field label="Name" hint="Part of its URL. Left empty, it is made from the source.">
            {id => (
              <input
                {...id}
                type="text"
                pattern="[a-z0-9][a-z0-9\-]{0,62}"
                title="Small letters, digits and hyphens, 63 at most"
                autoComplete="off"
                spellCheck={false}
                value={draft.name}
                onChange={event => change({ name: event.target.value })}
              />
            )}
          </Field>
          <Variables variables={draft.variables} onChange={variables => change({ variables })} />
          <Field
            label="Egress"
            hint="Hosts the server may reach, one per line: api.example.com, *.example.com or host:port. Empty means no network."
          >
            {id => (
              <textarea
                {...id}
                rows={2}
                spellCheck={false}
                value={draft.egress}
                onChange={event => change({ egress: event.target.value })}
              />
            )}
          </Field>
          <label className="check">
            <input
              type="checkbox"
              checked={draft.egressRecord}
              disabled={draft.egress.trim() === ''}
              onChange={event => change({ egressRecord: event.target.checked })}
            />
            <span>
              Record its HTTP exchanges
              <span className="hint">
                {' '}
                · TLS then ends with Conductor, whose certificate the server is given. Secrets are masked.
              </span>
            </span>
          </label>
          <Field label="Arguments" hint="One per line, handed to the server as they are.">
            {id => (
              <textarea
                {...id}
                rows={2}
                spellCheck={false}
                value={draft.args}
                onChange={event => change({ args: event.target.value })}
              />
            )}
          </Field>
          <details>
            <summary>For unusual packages</summary>
            <div className="form">
              <Field
                label="Program"
                hint="Which program of the package or folder to run, where it has several: a script, a Python module, or a file."
              >
                {id => (
                  <input
                    {...id}
                    type="text"
                    autoComplete="off"
                    spellCheck={false}
                    value={draft.bin}
                    onChange={event => change({ bin: event.target.value })}
                  />
                )}
              </Field>
              {limitFields.map(({ key, label, hint }) => (
                <Field key={key} label={label} hint={hint}>
                  {id => (
                    <input
                      {...id}
                      type="text"
                      inputMode="numeric"
                      pattern="[1-9][0-9]*"
                      title="A whole number"
                      autoComplete="off"
                      value={draft[key]}
                      onChange={event => change({ [key]: event.target.value })}
                    />
                  )}
                </Field>
              ))}
              <label className="check">
                <input
                  type="checkbox"
                  checked={draft.allowScripts}
                  onChange={event => change({ allowScripts: event.target.checked })}
                />
                <span>
                  Run the packages’ install scripts
                  <span className="hint"> · They run as Conductor’s user. Only for packages you trust.</span>
                </span>
              </label>
            </div>
          </details>
          <div className="form-foot">
            <button type="submit" className="button primary" disabled={deploy.isPending || draft.source.trim() === ''}>
              {deploy.isPending ? 'Deploying…' : 'Deploy'}
            </button>
            {draft.source.trim() === '' && <span className="hint">Name a source first.</span>}
          </div>
          {deploy.isPending && <Progress entries={entries} />}
          {deploy.error && <Problem error={deploy.error} doing={`deploy ${draft.source}`} />}
        </form>
        <aside aria-label="The same elsewhere">
          <Elsewhere cli={cliOf(draft, request)} route="deploy" ask={{ body: shownOf(request) }} />
        </aside>
      </div>
    </Page>
  )
}

function Field({
  label,
  hint,
  children,
}: {
  label: string
  hint: string
  children: (id: { id: string; 'aria-describedby': string }) => React.ReactNode
}) {
  const id = useId()
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {children({ id, 'aria-describedby': `${id}-hint` })}
      <span className="hint" id={`${id}-hint`}>
        {hint}
      </span>
    </div>
  )
}

function Variables({ variables, onChange }: { variables: Variable[]; onChange: (variables: Variable[]) => void }) {
  const secrets = useQuery({ ...queries.secrets(), enabled: variables.some(variable => variable.from === 'secret') })
  const next = useRef(0)
  const put = (at: number, part: Partial<Variable>) => onChange(variables.with(at, { ...variables[at]!, ...part }))
  return (
    <fieldset className="field">
      <legend>Environment</legend>
      {variables.map((variable, at) => (
        <div className="line-fields" key={variable.key}>
          <input
            type="text"
            aria-label={`Name of variable ${at + 1}`}
            placeholder="NAME"
            required
            pattern="[A-Za-z_][A-Za-z0-9_]*"
            title="Letters, digits and underscores"
            autoComplete="off"
            spellCheck={false}
            value={variable.name}
            onChange={event => put(at, { name: event.target.value })}
          />
          <select
            aria-label={`Kind of variable ${at + 1}`}
            value={variable.from}
            onChange={event => put(at, { from: event.target.value as Variable['from'], text: '' })}
          >
            <option value="value">value</option>
            <option value="secret">secret</option>
          </select>
          {variable.from === 'value' ? (
            <input
              type="text"
              aria-label={`Value of variable ${at + 1}`}
              autoComplete="off"
              spellCheck={false}
              value={variable.text}
              onChange={event => put(at, { text: event.target.value })}
            />
          ) : (
            <select
              aria-label={`Secret of variable ${at + 1}`}
              required
              value={variable.text}
              onChange={event => put(at, { text: event.target.value })}
            >
              <option value="">{secrets.data?.items.length === 0 ? 'no secrets yet' : 'choose…'}</option>
              {secrets.data?.items.map(secret => (
                <option key={secret.name}>{secret.name}</option>
              ))}
            </select>
          )}
          <button
            type="button"
            className="icon-button"
            aria-label={`Remove variable ${variable.name || at + 1}`}
            onClick={() => onChange(variables.toSpliced(at, 1))}
          >
            <X size={14} aria-hidden />
          </button>
        </div>
      ))}
      <div>
        <button
          type="button"
          className="button quiet"
          onClick={() => onChange([...variables, { key: next.current++, name: '', from: 'value', text: '' }])}
        >
          <Plus size={13} aria-hidden /> Add a variable
        </button>
      </div>
      <span className="hint">
        The server sees these and nothing else of Conductor’s environment. Keep keys as secrets:{' '}
        <code>maestro secret set NAME</code> reads one from standard input.
      </span>
    </fieldset>
  )
}

const entriesShown = 8

/** What Conductor logs while `active`. Listens from the start, so that the first entries are not missed. */
function useLogWhile(active: boolean): LogEntry[] {
  const [entries, setEntries] = useState<LogEntry[]>([])
  const isActive = useRef(active)
  isActive.current = active
  useEffect(() => {
    const gone = new AbortController()
    async function follow() {
      for await (const entry of followLogs({ limit: 0 }, gone.signal)) {
        if (isActive.current) setEntries(now => [...now, entry].slice(-entriesShown))
      }
    }
    // The log is only company here: without it the answer still comes.
    follow().catch(() => {})
    return () => gone.abort()
  }, [])
  useEffect(() => {
    if (active) setEntries([])
  }, [active])
  return entries
}

/** How long it takes, and what Conductor logs meanwhile. */
function Progress({ entries }: { entries: LogEntry[] }) {
  const [elapsedMs, setElapsedMs] = useState(0)
  useEffect(() => {
    const started = performance.now()
    const timer = setInterval(() => setElapsedMs(performance.now() - started), 500)
    return () => clearInterval(timer)
  }, [])
  return (
    <div className="progress">
      <progress aria-label="Deploying" />
      <p role="status">Installing where it is missing, then running the server once to read what it offers.</p>
      <p className="hint">{duration(Math.floor(elapsedMs / 500) * 500)} so far. A first install may take a minute.</p>
      {entries.length > 0 && (
        <pre>
          {entries
            .map(({ at: _at, level: _level, event, ...facts }) => `${event} ${JSON.stringify(facts)}`.slice(0, 160))
            .join('\n')}
        </pre>
      )}
    </div>
  )
}

const linesIn = (text: string): string[] =>
  text
    .split('\n')
    .map(line => line.trim())
    .filter(Boolean)

function requestOf(draft: Draft): DeployRequest {
  const env = Object.fromEntries(
    draft.variables
      .filter(variable => variable.name !== '')
      .map(({ name, from, text }): [string, EnvValue] => [name, from === 'secret' ? { secret: text } : { value: text }]),
  )
  const args = linesIn(draft.args)
  const egress = linesIn(draft.egress)
  const limits = Object.fromEntries(
    limitFields.filter(({ key }) => draft[key] !== '').map(({ key }) => [key, Number(draft[key])]),
  )
  return {
    source: draft.source.trim(),
    ...(draft.name ? { name: draft.name } : {}),
    ...(Object.keys(env).length ? { env } : {}),
    ...(args.length ? { args } : {}),
    ...(egress.length ? { egress } : {}),
    ...(egress.length && draft.egressRecord ? { egressRecord: true } : {}),
    ...(Object.keys(limits).length ? { limits } : {}),
    ...(draft.bin ? { bin: draft.bin } : {}),
    ...(draft.allowScripts ? { allowScripts: true } : {}),
  }
}

function cliOf(draft: Draft, request: DeployRequest): string {
  const parts = ['maestro deploy', quoted(request.source || '<source>')]
  if (request.name) parts.push('--name', request.name)
  for (const [name, value] of Object.entries(request.env ?? {})) {
    // What was typed as a value may be a key; it does not belong on a command line that is shown.
    parts.push('--env', 'secret' in value ? `${name}=secret:${value.secret}` : `${name}=…`)
  }
  if (request.egress) parts.push('--egress', quoted(request.egress.join(',')))
  if (request.egressRecord) parts.push('--record-egress')
  for (const { key, flag } of limitFields) if (request.limits?.[key] !== undefined) parts.push(flag, String(request.limits[key]))
  if (draft.bin) parts.push('--bin', quoted(draft.bin))
  if (draft.allowScripts) parts.push('--allow-scripts')
  if (request.args) parts.push('--', ...request.args.map(quoted))
  return parts.join(' ')
}

/** The request without the values of its variables. */
function shownOf(request: DeployRequest): DeployRequest {
  if (!request.env) return request
  const env = Object.entries(request.env).map(([name, value]): [string, EnvValue] => [
    name,
    'secret' in value ? value : { value: '…' },
  ])
  return { ...request, env: Object.fromEntries(env) }
}
