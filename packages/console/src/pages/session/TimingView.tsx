import { lengthUs, type Row, type Timeline } from '../../recording/timeline.ts'
import { Ago } from '../../ui/Ago.tsx'
import { Fact, Facts } from '../../ui/Facts.tsx'
import { duration, exact, percent } from '../../ui/format.ts'
import { NumberHeads } from '../../ui/NumberHeads.tsx'
import { spanKinds } from './spanKinds.ts'

/** Where the time of one row went. */
export function TimingView({ row, timeline }: { row: Row; timeline: Timeline }) {
  const { openedAt } = timeline.recording.header
  const spans = row.what.kind === 'exchange' ? row.what.exchange.spans : []
  const totalUs = spans.reduce((sum, span) => sum + span.endUs - span.startUs, 0)
  const wallAt = openedAt + row.startUs / 1000
  return (
    <div className="timing">
      <Facts>
        <Fact name="Began">
          {duration(row.startUs / 1000)} into the session, {exact(wallAt)} (<Ago at={wallAt} />)
        </Fact>
        {row.endUs === null && <Fact name="Ended">Not yet</Fact>}
        {row.endUs !== null && row.endUs > row.startUs && <Fact name="Took">{duration(lengthUs(row) / 1000)}</Fact>}
      </Facts>
      {spans.length > 0 && (
        <table aria-label="Where the time went">
          <thead>
            <tr>
              <th scope="col">Part</th>
              <th scope="col">Meaning</th>
              <NumberHeads titles={['From', 'Took', 'Share']} />
            </tr>
          </thead>
          <tbody>
            {spans.map(span => (
              <tr key={`${span.kind} ${span.startUs}`}>
                <td>
                  <i className="swatch" data-is={span.kind} aria-hidden="true" /> {spanKinds[span.kind].name}
                </td>
                <td>{spanKinds[span.kind].meaning}</td>
                <td className="number">+{duration((span.startUs - row.startUs) / 1000)}</td>
                <td className="number">{duration((span.endUs - span.startUs) / 1000)}</td>
                <td className="number">{totalUs > 0 ? percent((span.endUs - span.startUs) / totalUs) : '–'}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {spans.length === 0 && <p className="hint">It has no length: it was said, and no answer is due.</p>}
    </div>
  )
}
