import type { Session } from '@maestro/contract'
import type { Recording } from '@maestro/logic'
import { Link } from '@tanstack/react-router'
import { Elsewhere } from '../../shell/Elsewhere.tsx'
import { Copy } from '../../ui/Copy.tsx'
import { Fact, Facts } from '../../ui/Facts.tsx'
import { bytes, count, duration, exact, plural, shortDigest } from '../../ui/format.ts'
import { quoted } from '../../ui/quoted.ts'
import { Snippets } from '../../ui/Snippets.tsx'

interface Props {
  recording: Recording
  size: number
  /** Absent for a file that was dropped: then only the tape is known. */
  session: Session | null
  fileName?: string
}

/** The session as a whole: what ran, how it began and ended, and the same on the command line. */
export function SessionFacts({ recording, size, session, fileName }: Props) {
  const { header, end } = recording
  const frames = recording.records.filter(record => record.kind === 'frame').length
  return (
    <section className="details" aria-label="Session">
      <h2>Session</h2>
      <Facts>
        <Fact name="Id">
          <code>{header.session}</code> <Copy text={header.session} label="session id" />
        </Fact>
        <Fact name="Deployment">
          {session ? (
            <Link to="/deployments/$id" params={{ id: header.deployment }}>
              {header.deploymentName}
            </Link>
          ) : (
            header.deploymentName
          )}
        </Fact>
        <Fact name="Release">
          {header.releaseName} {header.releaseVersion}
        </Fact>
        <Fact name="Digest">
          <code title={header.digest}>{shortDigest(header.digest)}</code> <Copy text={header.digest} label="digest" />
        </Fact>
        <Fact name="Driver">
          {header.driver}
          {header.runtime && `, ${header.runtime}`}
        </Fact>
        {session && (
          <>
            <Fact name="Client">{session.client ?? 'did not say'}</Fact>
            <Fact name="Subject">{session.subject}</Fact>
            <Fact name="Protocol">
              {session.protocolVersion ?? 'not agreed'} ({session.era === 'session' ? 'with a session' : 'stateless'})
            </Fact>
            <Fact name="Startup">
              {session.startupMs === null ? 'not yet' : duration(session.startupMs)}, {session.warm ? 'warm' : 'cold'}
            </Fact>
          </>
        )}
        <Fact name="Opened">{exact(header.openedAt)}</Fact>
        {session?.closedAt ? (
          <Fact name="Closed">
            {exact(session.closedAt)}, after {duration(session.closedAt - session.openedAt)}
          </Fact>
        ) : null}
        <Fact name="End">{(end?.reason ?? session?.closeReason ?? 'not on the tape').replaceAll('_', ' ')}</Fact>
        <Fact name="Recording">
          {bytes(size)}, {plural(frames, 'frame')}, {plural(recording.records.length, 'record')}, format {recording.version}
          {recording.eventsUnknown > 0 && `, ${plural(recording.eventsUnknown, 'event')} of a newer kind left out`}
        </Fact>
        <Fact name="Arguments">{header.args.length ? <code>{header.args.join(' ')}</code> : 'none'}</Fact>
        <Fact name="Environment">
          {header.envNames.length ? `${header.envNames.join(', ')} (values are not recorded)` : 'none'}
        </Fact>
        <Fact name="Egress">{header.egress.length ? header.egress.join(', ') : 'none allowed'}</Fact>
        <Fact name="Written by">Conductor {header.conductorVersion}</Fact>
      </Facts>
      {session ? (
        <Elsewhere
          cli={`maestro session show ${session.id}
maestro replay ${session.id}
maestro logs --session ${session.id}
maestro stub ${session.id}`}
          note="Its timeline in the terminal; a re-execution with a verdict; what Conductor logged about it; a deployment that answers from it with no server behind, for client tests."
          route="getRecording"
          ask={{ params: { id: session.id } }}
        />
      ) : (
        <Snippets
          label="The same elsewhere"
          snippets={[
            { name: 'CLI', text: `maestro session show ${quoted(fileName ?? '')}`, note: 'Reads the file; needs no Conductor.' },
          ]}
        />
      )}
      <p className="hint">
        Select a row to see what was said. <kbd>j</kbd> <kbd>k</kbd> move, <kbd>/</kbd> searches {count(frames)} frames,{' '}
        <kbd>?</kbd> shows all keys.
      </p>
    </section>
  )
}
