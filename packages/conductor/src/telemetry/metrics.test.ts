import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type MetricSources, metrics, metricsText } from './metrics.ts'
import { writeMetrics } from './write-metrics.ts'

const line: MetricSources['pool']['deployments'][number] = {
  deployment: 'dep_00000000000000000000',
  tenant: 'ten_00000000000000local0',
  name: 'files',
  wish: 3,
  target: 2,
  starting: 1,
  warm: 1,
  frozen: 1,
  leased: 4,
  hits: 10,
  misses: 2,
  hitRatio: 10 / 12,
  evictions: 0,
  ratePerMinute: 30,
  burst: 1.5,
  refillMs: 120,
  missProbability: 0.0002,
  memoryBytes: 62_000_000,
  startMsP50: 100,
  startMsP95: 130,
  lastError: null,
}
const sources: MetricSources = {
  pool: {
    driver: 'bubblewrap',
    sandboxesMax: 64,
    memoryBytesMax: 1e9,
    memoryBytes: 3e8,
    starting: 1,
    warm: 1,
    frozen: 1,
    leased: 4,
    draining: 0,
    waiting: 0,
    hits: 10,
    misses: 2,
    hitRatio: 10 / 12,
    evictions: 7,
    orphans: 0,
    tenants: [{ tenant: 'ten_00000000000000local0', leased: 4, leasedMax: 64, idle: 2, waiting: 0, memoryBytes: 3e8 }],
    deployments: [line, { ...line, name: 'other', memoryBytes: null }],
  },
  counts: {
    starts: 20,
    startFailures: 1,
    refills: [
      { secondsMax: 0.1, count: 2 },
      { secondsMax: 1, count: 3 },
    ],
    refillCount: 6,
    refillSeconds: 4.5,
  },
  leaks: { processes: 0, mounts: 0, cgroups: 1, files: 0 },
  sessions: { opened: 12, open: 4, closed: new Map([['client', 8]]) },
  process: { startedSeconds: 1, residentBytes: 2, cpuSeconds: 3, openFiles: 40, loopDelaySeconds: 0.002 },
  version: '1.2.3',
}

describe('metrics', () => {
  it('are written one family after the other, each described, with its labels', () => {
    const text = metricsText(sources)
    assert.match(
      text,
      /^# HELP conductor_pool_warm .+\n# TYPE conductor_pool_warm gauge\nconductor_pool_warm\{deployment="files"\} 1\n/m,
    )
    assert.match(text, /^conductor_sessions_closed_total\{reason="client"\} 8$/m)
    assert.match(text, /^conductor_leaked_cgroups 1$/m)
    assert.match(text, /^conductor_sandbox_start_failures_total\{driver="bubblewrap"\} 1$/m)
    // What was not measured is absent rather than 0.
    assert.equal(text.match(/^conductor_pool_sandbox_memory_bytes\{/gm)?.length, 1)
    for (const row of text.trim().split('\n')) assert.match(row, /^(# (HELP|TYPE) |[a-z_0-9]+(\{[^}]*\})? -?[0-9.e+-]+$)/)
  })

  it('count in every bucket of a histogram what is in those before it', () => {
    const rows = metricsText(sources).match(/^conductor_pool_refill_seconds.*$/gm)
    assert.deepEqual(rows, [
      'conductor_pool_refill_seconds_bucket{le="0.1"} 2',
      'conductor_pool_refill_seconds_bucket{le="1"} 5',
      'conductor_pool_refill_seconds_bucket{le="+Inf"} 6',
      'conductor_pool_refill_seconds_sum 4.5',
      'conductor_pool_refill_seconds_count 6',
    ])
  })

  it('say nothing of leaks where nobody can look', () => {
    assert.doesNotMatch(metricsText({ ...sources, leaks: null }), /leaked/)
  })

  it('carry the labels they are documented with, and names that tell type and unit', () => {
    for (const [name, { type, labels, samples }] of Object.entries(metrics)) {
      for (const { labels: given = {} } of samples(sources))
        assert.deepEqual(
          Object.keys(given).filter(key => !labels.includes(key as never)),
          [],
          name,
        )
      assert.equal(name.endsWith('_total'), type === 'counter', name)
      assert.match(name, /^(conductor|process)_[a-z0-9_]+$/)
    }
  })

  it('let no name break out of its label', () => {
    const family = { name: 'x', type: 'gauge', help: 'a\nb' } as const
    assert.equal(
      writeMetrics([{ family, samples: [{ labels: { name: 'a"b\\c\nd' }, value: Number.POSITIVE_INFINITY }] }]),
      '# HELP x a\\nb\n# TYPE x gauge\nx{name="a\\"b\\\\c\\nd"} +Inf\n',
    )
  })
})
