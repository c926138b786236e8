import { readdirSync } from 'node:fs'
import type { Leaks, PoolView } from '@maestro/contract'
import type { PoolCounts } from '../session/stages.ts'
import type { EventLoopDelay } from './event-loop-delay.ts'
import type { SessionCounts } from './session-counts.ts'
import { type MetricFamily, type Sample, writeMetrics } from './write-metrics.ts'

/** What the figures are read from, at the moment somebody asks. */
export interface MetricSources {
  pool: Omit<PoolView, 'leaks'>
  counts: PoolCounts
  leaks: Leaks | null
  sessions: Pick<SessionCounts, 'opened' | 'open' | 'closed'>
  process: {
    startedSeconds: number
    residentBytes: number
    cpuSeconds: number
    openFiles: number | null
    loopDelaySeconds: number
  }
  version: string
}

interface MetricDraft extends Omit<MetricFamily, 'name'> {
  labels: readonly string[]
  samples(sources: MetricSources): Sample[]
}

const one = (value: number | null | undefined): Sample[] => (value === null || value === undefined ? [] : [{ value }])
type Line = PoolView['deployments'][number]
const each = (pool: MetricSources['pool'], of: (line: Line) => number | null): Sample[] =>
  pool.deployments.flatMap(line => {
    const value = of(line)
    return value === null ? [] : [{ labels: { deployment: line.name }, value }]
  })
const eachTenant = (pool: MetricSources['pool'], of: (tenant: PoolView['tenants'][number]) => number): Sample[] =>
  pool.tenants.map(line => ({ labels: { tenant: line.tenant }, value: of(line) }))

/** Every metric: the page in docs/reference and the answer of /metrics both come from here. */
export const metrics = {
  conductor_build_info: {
    type: 'gauge',
    labels: ['version'],
    help: 'Always 1; the version is a label.',
    samples: ({ version }) => [{ labels: { version }, value: 1 }],
  },
  conductor_pool_sandboxes_max: {
    type: 'gauge',
    labels: [],
    help: 'Sandboxes that may exist at once.',
    samples: ({ pool }) => one(pool.sandboxesMax),
  },
  conductor_pool_memory_max_bytes: {
    type: 'gauge',
    labels: [],
    help: 'Memory that all sandboxes should take.',
    samples: ({ pool }) => one(pool.memoryBytesMax),
  },
  conductor_pool_memory_bytes: {
    type: 'gauge',
    labels: [],
    help: 'Memory of all sandboxes, by what was measured of their releases.',
    samples: ({ pool }) => one(pool.memoryBytes),
  },
  conductor_pool_warm: {
    type: 'gauge',
    labels: ['deployment'],
    help: 'Sandboxes that are ready and held by nobody.',
    samples: ({ pool }) => each(pool, line => line.warm),
  },
  conductor_pool_frozen: {
    type: 'gauge',
    labels: ['deployment'],
    help: 'Warm sandboxes that stand still and take no CPU.',
    samples: ({ pool }) => each(pool, line => line.frozen),
  },
  conductor_pool_starting: {
    type: 'gauge',
    labels: ['deployment'],
    help: 'Sandboxes on their way to be warm.',
    samples: ({ pool }) => each(pool, line => line.starting),
  },
  conductor_pool_leased: {
    type: 'gauge',
    labels: ['deployment'],
    help: 'Sandboxes held by a session.',
    samples: ({ pool }) => each(pool, line => line.leased),
  },
  conductor_pool_draining: {
    type: 'gauge',
    labels: [],
    help: 'Sandboxes that are being ended.',
    samples: ({ pool }) => one(pool.draining),
  },
  conductor_pool_waiting: {
    type: 'gauge',
    labels: [],
    help: 'Sessions that wait for the place of a sandbox that ends.',
    samples: ({ pool }) => one(pool.waiting),
  },
  conductor_pool_target: {
    type: 'gauge',
    labels: ['deployment'],
    help: 'Warm sandboxes that the pool keeps.',
    samples: ({ pool }) => each(pool, line => line.target),
  },
  conductor_pool_wish: {
    type: 'gauge',
    labels: ['deployment'],
    help: 'Warm sandboxes that the use of the deployment is worth; more than the target where room is short.',
    samples: ({ pool }) => each(pool, line => line.wish),
  },
  conductor_pool_arrival_rate: {
    type: 'gauge',
    labels: ['deployment'],
    help: 'Sessions per second that the pool reckons with.',
    samples: ({ pool }) => each(pool, line => line.ratePerMinute / 60),
  },
  conductor_pool_burst_size: {
    type: 'gauge',
    labels: ['deployment'],
    help: 'Sessions that come together.',
    samples: ({ pool }) => each(pool, line => line.burst),
  },
  conductor_pool_sandbox_memory_bytes: {
    type: 'gauge',
    labels: ['deployment'],
    help: 'Memory of one sandbox, measured.',
    samples: ({ pool }) => each(pool, line => line.memoryBytes),
  },
  conductor_pool_hits_total: {
    type: 'counter',
    labels: ['deployment'],
    help: 'Leases served by a warm sandbox.',
    samples: ({ pool }) => each(pool, line => line.hits),
  },
  conductor_pool_misses_total: {
    type: 'counter',
    labels: ['deployment'],
    help: 'Leases that had to wait for a start.',
    samples: ({ pool }) => each(pool, line => line.misses),
  },
  conductor_pool_evictions_total: {
    type: 'counter',
    labels: [],
    help: 'Warm sandboxes ended to make room for others, though they were worth keeping.',
    samples: ({ pool }) => one(pool.evictions),
  },
  conductor_pool_refill_seconds: {
    type: 'histogram',
    labels: ['le'],
    help: 'From a lease until another warm sandbox stood in its place.',
    samples: ({ counts }) => histogramOf(counts),
  },
  conductor_pool_tenant_leased: {
    type: 'gauge',
    labels: ['tenant'],
    help: 'Sandboxes a tenant holds.',
    samples: ({ pool }) => eachTenant(pool, line => line.leased),
  },
  conductor_pool_tenant_memory_bytes: {
    type: 'gauge',
    labels: ['tenant'],
    help: 'Memory of the sandboxes of a tenant.',
    samples: ({ pool }) => eachTenant(pool, line => line.memoryBytes),
  },
  conductor_sandbox_starts_total: {
    type: 'counter',
    labels: ['driver'],
    help: 'Sandboxes that the pool started.',
    samples: ({ pool, counts }) => [{ labels: { driver: pool.driver }, value: counts.starts }],
  },
  conductor_sandbox_start_failures_total: {
    type: 'counter',
    labels: ['driver'],
    help: 'Starts of a sandbox that failed.',
    samples: ({ pool, counts }) => [{ labels: { driver: pool.driver }, value: counts.startFailures }],
  },
  conductor_sandbox_orphans_total: {
    type: 'counter',
    labels: [],
    help: 'Processes that were found alive after their sandbox had ended.',
    samples: ({ pool }) => one(pool.orphans),
  },
  conductor_leaked_processes: {
    type: 'gauge',
    labels: [],
    help: 'Processes of ours that belong to no sandbox that runs, by looking.',
    samples: ({ leaks }) => one(leaks?.processes),
  },
  conductor_leaked_mounts: {
    type: 'gauge',
    labels: [],
    help: 'Mounts of ours that belong to no sandbox that runs, by looking.',
    samples: ({ leaks }) => one(leaks?.mounts),
  },
  conductor_leaked_cgroups: {
    type: 'gauge',
    labels: [],
    help: 'Control groups of ours that belong to no sandbox that runs, by looking.',
    samples: ({ leaks }) => one(leaks?.cgroups),
  },
  conductor_leaked_files: {
    type: 'gauge',
    labels: [],
    help: 'Sockets and folders of ours that belong to no sandbox that runs, by looking.',
    samples: ({ leaks }) => one(leaks?.files),
  },
  conductor_sessions_open: {
    type: 'gauge',
    labels: [],
    help: 'Sessions in progress.',
    samples: ({ sessions }) => one(sessions.open),
  },
  conductor_sessions_opened_total: {
    type: 'counter',
    labels: [],
    help: 'Sessions opened.',
    samples: ({ sessions }) => one(sessions.opened),
  },
  conductor_sessions_closed_total: {
    type: 'counter',
    labels: ['reason'],
    help: 'Sessions closed; the reason is client, idle, drain or an error code.',
    samples: ({ sessions }) => [...sessions.closed].map(([reason, value]) => ({ labels: { reason }, value })),
  },
  conductor_event_loop_delay_p99_seconds: {
    type: 'gauge',
    labels: [],
    help: 'How late the event loop came to what was due, 99th percentile of the last half minute.',
    samples: ({ process }) => one(process.loopDelaySeconds),
  },
  process_open_fds: {
    type: 'gauge',
    labels: [],
    help: 'File descriptors that Conductor has open.',
    samples: ({ process }) => one(process.openFiles),
  },
  process_resident_memory_bytes: {
    type: 'gauge',
    labels: [],
    help: 'Memory of Conductor itself, without database and sandboxes.',
    samples: ({ process }) => one(process.residentBytes),
  },
  process_cpu_seconds_total: {
    type: 'counter',
    labels: [],
    help: 'CPU time that Conductor itself took.',
    samples: ({ process }) => one(process.cpuSeconds),
  },
  process_start_time_seconds: {
    type: 'gauge',
    labels: [],
    help: 'When Conductor was started, Unix seconds.',
    samples: ({ process }) => one(process.startedSeconds),
  },
} satisfies Record<string, MetricDraft>

/** All metrics in the text format of Prometheus. */
export function metricsText(sources: MetricSources): string {
  return writeMetrics(
    Object.entries(metrics as Record<string, MetricDraft>).map(([name, { samples, type, help }]) => ({
      family: { name, type, help },
      samples: samples(sources),
    })),
  )
}

/** What this process itself takes. */
export function readProcessFacts(startedAt: number, delay: EventLoopDelay): MetricSources['process'] {
  const { user, system } = process.cpuUsage()
  return {
    startedSeconds: startedAt / 1000,
    residentBytes: process.memoryUsage.rss(),
    cpuSeconds: (user + system) / 1e6,
    openFiles: countOpenFiles(),
    loopDelaySeconds: delay.p99Seconds,
  }
}

function countOpenFiles(): number | null {
  try {
    // The folder itself is open while it is read.
    return readdirSync('/proc/self/fd').length - 1
  } catch {
    return null
  }
}

/** Buckets count everything up to their end; the last is without end. */
function histogramOf({ refills, refillCount, refillSeconds }: PoolCounts): Sample[] {
  let below = 0
  const buckets = refills.map(({ secondsMax, count }) => {
    below += count
    return { suffix: '_bucket', labels: { le: String(secondsMax) }, value: below }
  })
  return [
    ...buckets,
    { suffix: '_bucket', labels: { le: '+Inf' }, value: refillCount },
    { suffix: '_sum', value: refillSeconds },
    { suffix: '_count', value: refillCount },
  ]
}
