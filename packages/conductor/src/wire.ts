/** The composition root: settings in, a running machine out. The only file that knows which part stands behind a port. */
import { createHmac } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type Deployment,
  type DeployRequest,
  localTenant,
  type Status,
  sessionRevisions,
  statelessRevision,
  type Token,
  type TokenRequest,
} from '@maestro/contract'
import { createApi } from './api/api.ts'
import { createOperatorCheck } from './api/auth.ts'
import { serveConsole } from './api/console.ts'
import { createHandlers } from './api/handlers.ts'
import { type Config, egressLimits, inheritedEnvironment, poolMemoryBytesMax } from './config.ts'
import { createDeployments } from './deployment/deployments.ts'
import { createFastStarts } from './faststart/fast-starts.ts'
import { createGuard } from './gateway/guard.ts'
import { createGateway } from './gateway/http.ts'
import { startRemote } from './gateway/remote-upstream.ts'
import { catchUncaught } from './last-resort.ts'
import { createFrontDoor, listen } from './listen.ts'
import { createInstaller } from './marketplace/installer.ts'
import { createPolicy } from './policy/policy.ts'
import { createTokens } from './policy/tokens.ts'
import { createPool } from './pool/pool.ts'
import { createRecorder } from './recorder/recorder.ts'
import { createRebuilder } from './replay/rebuild.ts'
import { createReplays } from './replay/replays.ts'
import { startStub } from './replay/stub-upstream.ts'
import { writeRuntimeFile } from './runtime-file.ts'
import { chooseDriver } from './sandbox/drivers.ts'
import { OwnAddress } from './sandbox/egress/own-address.ts'
import { createLeakMeter } from './sandbox/leak-meter.ts'
import type { Journal } from './session/stages.ts'
import { createJournal } from './store/journal.ts'
import { lockDataFolder } from './store/lock-data-folder.ts'
import { openStore } from './store/open-store.ts'
import { createChanges } from './telemetry/changes.ts'
import { EventLoopDelay } from './telemetry/event-loop-delay.ts'
import { createLogFeed } from './telemetry/log-feed.ts'
import { fileSink, terminalSink } from './telemetry/log-sinks.ts'
import { createLog } from './telemetry/logger.ts'
import { metricsText, readProcessFacts } from './telemetry/metrics.ts'
import { SessionCounts } from './telemetry/session-counts.ts'
import { createConsoleSessions } from './tenancy/console-sessions.ts'
import { readOperatorKey } from './tenancy/operator-key.ts'
import { createSecrets } from './tenancy/secrets.ts'
import { version } from './version.ts'
import { realWorld, wallClock } from './world.ts'

export interface RunningConductor {
  apiUrl: string
  /** With the sign-in key in the fragment, which no server ever sees. */
  consoleUrl: string
  operatorKey: string
  status(): Status
  deploy(request: DeployRequest): Promise<{ deployment: Deployment; installed: boolean; changed: boolean }>
  deployments(): Promise<Deployment[]>
  /** `operator: true` lets the token use the API as well. */
  mintToken(request: TokenRequest & { operator?: boolean }): Promise<Token>
  /** Drains and ends everything; the same promise however often it is asked. */
  stop(reason: string): Promise<void>
  /** Settles when it has ended. */
  stopped: Promise<void>
}

const tokenTtlMs = 15 * 60_000

/** What has been started, in order, so that it can be ended in the opposite order, also after half a start. */
class Started {
  private readonly ends: { name: string; end: () => unknown }[] = []

  add<T>(name: string, part: T, end: (part: T) => unknown): T {
    this.ends.push({ name, end: () => end(part) })
    return part
  }

  async endAll(onError: (name: string, error: unknown) => void): Promise<void> {
    for (const { name, end } of this.ends.reverse()) {
      try {
        await end()
      } catch (error) {
        onError(name, error)
      }
    }
  }
}

/**
 * Starts Conductor in this process. Throws `config_invalid`, `data_locked`, `port_busy`, `store_unavailable`, `sandbox_unavailable`;
 * whatever was started by then is ended again.
 */
export async function startConductor(config: Config): Promise<RunningConductor> {
  const logs = createLogFeed()
  const sinks = [terminalSink(config.logFormat), logs.sink]
  const world = realWorld(createLog(wallClock, sinks))
  const started = new Started()
  let running: RunningConductor | null = null
  const giveUp = async () => {
    await running?.stop('uncaught errors')
    process.exit(1)
  }
  try {
    // Before anything else touches the data folder, the log file included.
    started.add('lock', await lockDataFolder(config.data, world), lock => lock.release())
    sinks.push(started.add('log', fileSink(join(config.data, 'logs/conductor.ndjson')), sink => sink.close()))
    started.add(
      'last resort',
      catchUncaught(world, () => void giveUp()),
      remove => remove(),
    )
    running = await start(config, { world, logs, started })
    return running
  } catch (error) {
    await started.endAll((name, cause) => world.log.error('stop.failed', cause, { part: name }))
    throw error
  }
}

async function start(
  config: Config,
  { world, logs, started }: { world: ReturnType<typeof realWorld>; logs: ReturnType<typeof createLogFeed>; started: Started },
): Promise<RunningConductor> {
  const startedAt = world.now()
  const inData = (path: string) => join(config.data, path)
  await mkdir(inData('keys'), { recursive: true, mode: 0o700 })

  const ownAddress = new OwnAddress()
  // Side by side, since neither needs the other; both are waited for, so that a failure of one leaves nothing of the other.
  const [storeStart, driverStart] = await Promise.allSettled([
    openStore({ config, world, dataFolder: config.data }),
    chooseDriver(config, world, {
      allowPrivate: config.egressPrivate,
      limits: egressLimits(config),
      isOwn: (address, port) => ownAddress.is(address, port),
    }),
  ])
  if (storeStart.status === 'fulfilled') started.add('store', storeStart.value, open => open.close())
  if (driverStart.status === 'fulfilled') started.add('sandboxes', driverStart.value, chosen => chosen.close())
  if (storeStart.status === 'rejected') throw storeStart.reason
  if (driverStart.status === 'rejected') throw driverStart.reason
  const store = storeStart.value
  const driver = driverStart.value
  const recorder = createRecorder({ folder: inData('recordings'), world, version })
  const mended = await recorder.recover()
  const lost = await store.closeOpenSessions('crash', startedAt)
  if (mended.length + lost > 0) world.log.warn('recovered', { recordings: mended.length, sessions: lost })

  const changes = createChanges()
  const leaks = createLeakMeter(driver, world)
  const sessionCounts = new SessionCounts()
  const loopDelay = started.add('event loop delay', new EventLoopDelay(world), open => open.close())
  const journal = started.add('journal', createJournal({ store, world, tenant: localTenant }), open => open.flush())
  const watchedJournal: Journal = {
    save: session => {
      journal.save(session)
      sessionCounts.saw(session)
      changes.tell({ kind: 'session', id: session.id })
    },
    flush: () => journal.flush(),
  }

  const operator = readOperatorKey(inData('keys/operator.key'), world)
  const consoleSessions = createConsoleSessions(operator, world)
  const tokens = await createTokens({ keyFile: inData('keys/capability.jwk'), world, issuer: 'maestro-conductor' })
  const policy = createPolicy(tokens, world)
  const secrets = createSecrets({ store, rootKeyFile: inData('keys/root.key'), world })
  const telemetry =
    config.otlpEndpoint === '' ? null : started.add('telemetry', await startTelemetry(world), open => open.close())

  const pool = started.add(
    'pool',
    createPool({
      driver,
      world,
      starters: {
        remote: runnable => startRemote(runnable, world),
        recording: runnable => startStub(runnable, recorder, world),
      },
      sandboxesMax: config.sandboxesMax,
      memoryBytesMax: poolMemoryBytesMax(config),
      warmAtFirst: config.warmAtFirst,
    }),
    open => open.close(),
  )

  let base = ''
  const mcpUrlOf = (name: string) => `${base}/mcp/${name}`
  const keyedDigest = (text: string) => createHmac('sha256', operator.text).update(text).digest('hex')
  const installer = started.add(
    'installer',
    createInstaller({
      world,
      config,
      dataFolder: config.data,
      store,
      driver,
      startRemote: url => startRemote(url, world),
      recordingPathOf: session => recorder.pathOf(session),
      environment: inheritedEnvironment(),
      keyedDigest,
    }),
    open => open.close(),
  )
  await installer.cleanStaging()
  const starts = started.add(
    'fast starts',
    createFastStarts({
      world,
      driver,
      folder: inData('prepared'),
      enabled: config.fastStart === 'on',
      initializeMsMax: config.initializeMsMax,
      keyedDigest,
      onReady: () => deployments.load().catch(error => world.log.error('start.not_taken_on', error)),
    }),
    open => open.close(),
  )
  const deployments = createDeployments({
    config,
    world,
    store,
    pool,
    changes,
    mcpUrlOf,
    install: request => installer.install(request),
    resolveEnv: env => secrets.resolve(localTenant, env),
    starts,
  })
  const gateway = createGateway({
    config,
    world,
    directory: deployments,
    policy,
    pool,
    recorder,
    rebuilder: createRebuilder({ pool, recorder, world }),
    journal: watchedJournal,
    version,
    ...(telemetry ? { telemetry } : {}),
  })
  const replays = createReplays({
    config,
    world,
    store,
    directory: deployments,
    pool,
    recorder,
    onChange: replay => changes.tell({ kind: 'session', id: replay.session }),
  })

  const mintToken = async ({
    deployment,
    tools,
    subject,
    ttlMs,
    operator: asOperator,
  }: TokenRequest & { operator?: boolean }): Promise<Token> => {
    const found = await deployments.get(deployment)
    const { token, expiresAt } = await tokens.mint({
      tenant: localTenant,
      deployment: found.id as never,
      tools: tools ?? '*',
      subject: subject ?? 'operator',
      ttlMs: ttlMs ?? tokenTtlMs,
      operator: asOperator ?? false,
      audience: found.mcpUrl,
    })
    return { token, mcpUrl: found.mcpUrl, expiresAt }
  }
  const status = (): Status => ({
    ready: true,
    version,
    revisions: [...sessionRevisions, statelessRevision],
    pid: process.pid,
    startedAt,
    apiUrl: `${base}/v1`,
    consoleUrl: `${base}/console/`,
    dataFolder: config.data,
    driver: driver.name,
    database: store.description,
    rssBytes: process.memoryUsage.rss(),
    sessionsOpen: gateway.openSessions().length,
  })

  let stopping: Promise<void> | null = null
  let settleStopped = () => {}
  const stopped = new Promise<void>(resolve => {
    settleStopped = resolve
  })
  const stop = (reason: string): Promise<void> => {
    stopping ??= (async () => {
      world.log.info('stopping', { reason })
      await gateway.drain()
      await started.endAll((name, error) => world.log.error('stop.failed', error, { part: name }))
      settleStopped()
    })()
    return stopping
  }

  const guard = createGuard(config)
  const api = createApi(
    createHandlers({
      version,
      world,
      store,
      journal,
      deployments,
      pool,
      leaks,
      metrics: async () =>
        metricsText({
          pool: pool.view(),
          counts: pool.counts(),
          leaks: await leaks(),
          sessions: sessionCounts,
          process: readProcessFacts(startedAt, loopDelay),
          version,
        }),
      recorder,
      changes,
      logs,
      gateway,
      replays,
      secrets,
      consoleSessions,
      mintToken,
      status,
      stop: reason => void stop(reason),
    }),
    {
      server: createFrontDoor(gateway),
      requireOperator: createOperatorCheck({
        policy,
        isOperatorKey: key => operator.matches(key),
        consoleSessions,
        ownOrigins: () => [base, base.replace('127.0.0.1', 'localhost')],
      }),
      checkOrigin: request => {
        const denied = guard.check(request)
        if (denied) throw denied
      },
    },
  )
  serveConsole(api, join(import.meta.dirname, '../../console/dist'))
  await api.ready()
  started.add('api', api, open => open.close())
  const port = await listen(api.server, config.host, config.port)
  ownAddress.port = port
  // Fastify closes only what it opened itself.
  started.add('listener', api.server, server => {
    server.close()
    server.closeAllConnections()
  })
  base = `http://${config.host.includes(':') ? `[${config.host}]` : config.host}:${port}`
  await deployments.load()
  started.add(
    'runtime file',
    await writeRuntimeFile(config.data, { pid: process.pid, port, apiUrl: `${base}/v1`, startedAt }),
    remove => remove(),
  )
  world.log.info('ready', {
    url: base,
    driver: driver.name,
    database: store.description,
    ms: Math.round(world.now() - startedAt),
  })

  return {
    apiUrl: `${base}/v1`,
    consoleUrl: `${base}/console/#key=${operator.text}`,
    operatorKey: operator.text,
    status,
    deploy: request => deployments.deploy(request),
    deployments: () => deployments.list(),
    mintToken,
    stop,
    stopped,
  }
}

/** Loaded only where something is exported: the SDK costs memory and start-up time that an idle install need not pay. */
async function startTelemetry(world: ReturnType<typeof realWorld>) {
  const { createTelemetry, otlpExporters } = await import('./telemetry/otel.ts')
  return createTelemetry(version, world, otlpExporters())
}
