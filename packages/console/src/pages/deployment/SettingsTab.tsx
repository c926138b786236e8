import type { Deployment, Start, StartKind } from '@maestro/contract'
import { Copy } from '../../ui/Copy.tsx'
import { Fact, Facts } from '../../ui/Facts.tsx'
import { duration, exact, plural } from '../../ui/format.ts'
import { JsonTree } from '../../ui/JsonTree.tsx'
import { State } from '../../ui/State.tsx'
import { sourceKinds, sourceText } from '../deployments/sourceText.ts'
import { startKinds } from './startText.ts'

/** What it runs and with what. Values of the environment are not shown: they may be secret. */
export function SettingsTab({ deployment }: { deployment: Deployment }) {
  const { release, env, args, egress, egressRecord, limits, start } = deployment
  const { manifest } = release
  return (
    <div className="settings">
      <section>
        <h2>Deployment</h2>
        <Facts>
          <Fact name="Id">
            <code>{deployment.id}</code> <Copy text={deployment.id} label="deployment id" />
          </Fact>
          <Fact name="Arguments">{args.length ? <code>{args.join(' ')}</code> : 'none'}</Fact>
          <Fact name="Environment">
            {Object.keys(env).length === 0
              ? 'none'
              : Object.entries(env).map(([name, value]) => (
                  <div key={name}>
                    <code>{name}</code>{' '}
                    <span className="hint">{'secret' in value ? `from the secret ${value.secret}` : 'set, not shown'}</span>
                  </div>
                ))}
          </Fact>
          <Fact name="Egress">
            {egress.length ? egress.map(host => <div key={host}>{host}</div>) : 'none: the server has no network'}
            {egressRecord && <div>HTTP exchanges are recorded</div>}
          </Fact>
          <Fact name="Limits">
            {[
              ...(limits.memoryMiB === undefined ? [] : [`${limits.memoryMiB} MiB of memory`]),
              ...(limits.pids === undefined ? [] : [`${limits.pids} processes`]),
              ...(limits.diskMiB === undefined ? [] : [`${limits.diskMiB} MiB of disk`]),
            ].join(', ') || 'as the operator set them'}
          </Fact>
          <Fact name="Deployed">{exact(deployment.createdAt)}</Fact>
          <Fact name="Changed">{exact(deployment.updatedAt)}</Fact>
        </Facts>
      </section>
      {start && <HowItStarts start={start} />}
      <section>
        <h2>Release</h2>
        <Facts>
          <Fact name="Name">
            {release.name} {release.version}
          </Fact>
          <Fact name="Source">
            {sourceKinds[release.source.kind]} <code>{sourceText(release.source)}</code>
          </Fact>
          <Fact name="Digest">
            <code>{release.digest}</code> <Copy text={release.digest} label="digest" />
          </Fact>
          <Fact name="Id">
            <code>{release.id}</code> <Copy text={release.id} label="release id" />
          </Fact>
          <Fact name="Installed">{exact(release.createdAt)}</Fact>
        </Facts>
      </section>
      <section>
        <h2>What the server said of itself</h2>
        <Facts>
          <Fact name="Server">
            {[manifest.serverInfo['name'], manifest.serverInfo['version']].filter(Boolean).map(String).join(' ') || 'did not say'}
          </Fact>
          <Fact name="Protocol">{manifest.protocolVersion}</Fact>
          <Fact name="Offers">
            {plural(manifest.tools.length, 'tool')}, {plural(manifest.prompts.length, 'prompt')},{' '}
            {plural(manifest.resources.length, 'resource')}, {plural(manifest.resourceTemplates.length, 'resource template')}
          </Fact>
          <Fact name="First start">{duration(manifest.startupMs)}</Fact>
          {manifest.instructions && <Fact name="Instructions">{manifest.instructions}</Fact>}
        </Facts>
        <details>
          <summary>The whole manifest</summary>
          <div className="json">
            <JsonTree value={manifest} open={1} />
          </div>
        </details>
      </section>
    </div>
  )
}

/** Each way to start it that was tried: what it takes, and why it is not used where it is not. */
function HowItStarts({ start }: { start: Start }) {
  const { state, kind, measuredMs, refused, preparationMs } = start
  const kinds = Object.keys(startKinds) as StartKind[]
  return (
    <section aria-labelledby="start">
      <h2 id="start">How it starts</h2>
      {state === 'preparing' && (
        <p className="hint">A faster start is being prepared and compared with the plain one, which is used meanwhile.</p>
      )}
      <Facts>
        {kinds.map(each => {
          const why = refused.find(other => other.kind === each)?.why
          const ms = measuredMs[each]
          if (each !== kind && ms === undefined && why === undefined) return null
          return (
            <Fact key={each} name={startKinds[each]}>
              {ms !== undefined && `${duration(ms)} until it answers `}
              {each === kind && <State tone="good">in use</State>}
              {why !== undefined && <span className="hint">not used: {why}</span>}
            </Fact>
          )
        })}
        {preparationMs !== null && <Fact name="Prepared in">{duration(preparationMs)}</Fact>}
      </Facts>
    </section>
  )
}
