import type { Difference, Replay, Session } from '@maestro/contract'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useEffect, useState } from 'react'
import { call } from '../../api/call.ts'
import { queries } from '../../api/queries.ts'
import { Elsewhere } from '../../shell/Elsewhere.tsx'
import { Ago } from '../../ui/Ago.tsx'
import { announce } from '../../ui/Announcer.tsx'
import { Copy } from '../../ui/Copy.tsx'
import { Empty } from '../../ui/Empty.tsx'
import { Fact, Facts } from '../../ui/Facts.tsx'
import { count, duration } from '../../ui/format.ts'
import { JsonTree } from '../../ui/JsonTree.tsx'
import { NumberHeads } from '../../ui/NumberHeads.tsx'
import { Problem } from '../../ui/Problem.tsx'
import { Badge } from '../../ui/State.tsx'
import { Waiting } from '../../ui/Waiting.tsx'
import { useViewerSearch } from './viewerSearch.ts'

/** Why this session cannot be re-executed, or null. */
export function replayRefusal(session: Session): string | null {
  if (session.driver === 'remote')
    return 'A remote server runs elsewhere; only a release that runs in a sandbox here can be re-executed.'
  if (session.driver === 'recording') return 'This session was itself answered from a recording; there is no server to run again.'
  if (session.state !== 'closed') return 'Its recording is still being written. Close the session first.'
  return null
}

/** Runs the session again in a fresh sandbox, compares, and shows what differed; older replays below. */
export function ReplayPanel({ session }: { session: Session }) {
  const client = useQueryClient()
  const [chosen, setChosen] = useState<string | null>(null)
  const history = useQuery(queries.replays(session.id))
  const run = useMutation({
    mutationFn: () => call('replaySession', { params: { id: session.id } }),
    onSuccess: replay => {
      setChosen(replay.id)
      announce(`Replay done. ${inWords(replay)}`)
      void client.invalidateQueries({ queryKey: ['replays', session.id] })
      void client.invalidateQueries({ queryKey: ['session', session.id] })
      void client.invalidateQueries({ queryKey: ['sessions'] })
    },
  })
  const refusal = replayRefusal(session)
  const replays = history.data?.items ?? []
  const replay = (run.data?.id === chosen ? run.data : undefined) ?? replays.find(item => item.id === chosen) ?? replays[0]
  return (
    <section className="details" aria-label="Replay">
      <div className="section-head">
        <h2>Replay</h2>
        <span className="push" />
        <button
          type="button"
          className="button primary"
          disabled={run.isPending || refusal !== null}
          title={refusal ?? undefined}
          onClick={() => run.mutate()}
        >
          {run.isPending ? 'Replaying…' : replays.length ? 'Replay again' : 'Replay now'}
        </button>
      </div>
      {refusal && <p className="hint">{refusal}</p>}
      {run.isPending && <Running />}
      {run.error && <Problem error={run.error} doing="replay the session" />}
      {history.error && <Problem error={history.error} doing="list the replays" />}
      {history.isPending && <Waiting what="Listing replays" />}
      {history.data && !replay && !run.isPending && (
        <Empty
          title="Never replayed"
          body="A replay runs the same release in a fresh sandbox with the network absent, sends it what the client sent, and compares every frame that comes back."
        />
      )}
      {replay && !run.isPending && <Verdict replay={replay} />}
      {replays.length > 1 && (
        <>
          <h3>Replays of this session</h3>
          <History replays={replays} chosen={replay?.id} choose={setChosen} />
        </>
      )}
      <Elsewhere
        cli={`maestro replay ${session.id}`}
        note="Exit code 0: identical; 3: diverged."
        route="replaySession"
        ask={{ params: { id: session.id } }}
      />
    </section>
  )
}

function Running() {
  const [started] = useState(() => performance.now())
  const [elapsedMs, setElapsedMs] = useState(0)
  useEffect(() => {
    const timer = setInterval(() => setElapsedMs(performance.now() - started), 250)
    return () => clearInterval(timer)
  }, [started])
  return (
    <div className="running">
      <progress aria-label="Replay runs" />
      <p role="status">Running the release in a fresh sandbox and comparing each frame.</p>
      <p className="hint">{duration(Math.floor(elapsedMs / 250) * 250)} so far.</p>
    </div>
  )
}

function inWords(replay: Replay): string {
  if (replay.state === 'running') return 'Still running.'
  if (replay.state === 'failed') return `It failed: ${replay.error?.message ?? 'no reason was given'}`
  const { matched, total } = replay.frames
  return replay.identical
    ? `All ${count(total)} frames from the server came again, in order.`
    : `${count(matched)} of ${count(total)} frames from the server came again.`
}

function VerdictBadge({ replay }: { replay: Replay }) {
  if (replay.state === 'running') return <Badge tone="busy">running</Badge>
  if (replay.state === 'failed') return <Badge tone="bad">could not replay</Badge>
  return replay.identical ? <Badge tone="good">identical</Badge> : <Badge tone="warn">diverged</Badge>
}

// Never rounded up to 100 %: that word is kept for identical.
const fidelity = (replay: Replay): string =>
  `${(Math.floor(replay.frames.fidelity * 10_000) / 100).toFixed(2).replace(/\.00$/, '')} %`

function Verdict({ replay }: { replay: Replay }) {
  return (
    <div className="verdict" data-is={replay.state === 'failed' ? 'failed' : replay.identical ? 'identical' : 'diverged'}>
      <p className="verdict-line">
        <VerdictBadge replay={replay} /> <span>{inWords(replay)}</span>
      </p>
      <Facts row>
        <Fact name="Fidelity">{replay.state === 'done' ? fidelity(replay) : '–'}</Fact>
        <Fact name="Matched">
          {count(replay.frames.matched)} / {count(replay.frames.total)}
        </Fact>
        <Fact name="Took">{duration(replay.durationMs)}</Fact>
        <Fact name="Driver">{replay.driver}</Fact>
        <Fact name="Run">
          <Ago at={replay.createdAt} /> <Copy text={replay.id} label="replay id" />
        </Fact>
      </Facts>
      {replay.error && (
        <p className="details-error">
          <code>{replay.error.code}</code> {replay.error.message}
        </p>
      )}
      {replay.differences.length > 0 && (
        <>
          <h3>
            Differences{' '}
            <span className="hint">{replay.differences.length === 20 ? 'the first 20' : count(replay.differences.length)}</span>
          </h3>
          <ol className="differences">
            {replay.differences.map((difference, index) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: the list of a finished replay never changes
              <DifferenceView key={index} difference={difference} isFirst={index === 0} />
            ))}
          </ol>
        </>
      )}
    </div>
  )
}

const kinds: Record<Difference['kind'], string> = {
  value: 'another value',
  missing: 'did not come again',
  extra: 'came only in the replay',
  order: 'came in another order',
}

function DifferenceView({ difference, isFirst }: { difference: Difference; isFirst: boolean }) {
  const [, change] = useViewerSearch()
  const { kind, key, frame, pointer, recorded, replayed } = difference
  return (
    <li className="difference">
      <p>
        {isFirst && <Badge tone="warn">first</Badge>} <b>{kinds[kind]}</b>
        {frame !== null && (
          <>
            {' in '}
            <button
              type="button"
              className="link-button"
              onClick={() => change({ at: `f${frame}`, tab: 'frames', panel: undefined })}
            >
              frame {frame}
            </button>
          </>
        )}
      </p>
      <p className="hint">
        {pointer !== null && (
          <>
            at <code>{pointer === '' ? 'the whole message' : pointer}</code> <Copy text={pointer} label="JSON pointer" /> ·{' '}
          </>
        )}
        <code>{key}</code>
      </p>
      {(recorded !== undefined || replayed !== undefined) && (
        <div className="difference-values">
          <Side name="Recorded" value={recorded} />
          <Side name="Replayed" value={replayed} />
        </div>
      )}
    </li>
  )
}

function Side({ name, value }: { name: string; value: unknown }) {
  return (
    <div>
      <p className="hint">{name}</p>
      <div className="json">
        {value === undefined ? <span className="none">nothing there</span> : <JsonTree value={value} open={1} />}
      </div>
    </div>
  )
}

function History({ replays, chosen, choose }: { replays: Replay[]; chosen: string | undefined; choose: (id: string) => void }) {
  return (
    <div className="table-scroll">
      <table aria-label="Replays of this session, newest first">
        <thead>
          <tr>
            <th scope="col">Run</th>
            <th scope="col">Verdict</th>
            <NumberHeads titles={['Fidelity', 'Took']} />
          </tr>
        </thead>
        <tbody>
          {replays.map(replay => (
            <tr key={replay.id} aria-current={replay.id === chosen || undefined}>
              <td>
                <button type="button" className="link-button" onClick={() => choose(replay.id)}>
                  <Ago at={replay.createdAt} />
                </button>
              </td>
              <td>
                <VerdictBadge replay={replay} />
              </td>
              <td className="number">{replay.state === 'done' ? fidelity(replay) : '–'}</td>
              <td className="number">{duration(replay.durationMs)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
