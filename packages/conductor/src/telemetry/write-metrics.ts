/** The text format of Prometheus, 0.0.4: https://prometheus.io/docs/instrumenting/exposition_formats/ */

export interface MetricFamily {
  name: string
  type: 'gauge' | 'counter' | 'histogram'
  help: string
}

export interface Sample {
  /** `_bucket`, `_sum`, `_count` of a histogram. */
  suffix?: string
  labels?: Readonly<Record<string, string>>
  value: number
}

export const metricsMediaType = 'text/plain; version=0.0.4; charset=utf-8'

/** Families without a sample are left out. */
export function writeMetrics(families: readonly { family: MetricFamily; samples: readonly Sample[] }[]): string {
  let text = ''
  for (const { family, samples } of families) {
    if (samples.length === 0) continue
    text += `# HELP ${family.name} ${escaped(family.help)}\n# TYPE ${family.name} ${family.type}\n`
    for (const { suffix = '', labels = {}, value } of samples) {
      const pairs = Object.entries(labels).map(([name, text]) => `${name}="${escaped(text).replaceAll('"', '\\"')}"`)
      text += `${family.name}${suffix}${pairs.length > 0 ? `{${pairs.join(',')}}` : ''} ${numberText(value)}\n`
    }
  }
  return text
}

/** Label values may hold names that people chose. */
const escaped = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')

const numberText = (value: number): string =>
  Number.isNaN(value) ? 'NaN' : Number.isFinite(value) ? String(value) : value > 0 ? '+Inf' : '-Inf'
