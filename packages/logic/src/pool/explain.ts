interface Line {
  wish: number
  target: number
  ratePerMinute: number
  burst: number
  refillMs: number
  missProbability: number
}

/** Below this many a minute, two a day, nobody comes. */
const rateMin = 2 / 1440

/** Why the pool keeps as many warm as it does, in one line for a person. */
export function explainTarget({ wish, target, ratePerMinute, burst, refillMs, missProbability }: Line): string {
  if (ratePerMinute < rateMin)
    return wish === 0 ? 'Nobody came lately; the next session waits for a start.' : 'Nobody came lately; held because it is new.'
  const use = `${often(ratePerMinute)}${burst >= 1.5 ? `, ${burst.toFixed(burst < 10 ? 1 : 0)} at a time` : ''}`
  if (wish === 0) return `${use}; too seldom to hold one warm.`
  const room = target < wish ? `, of which there is room for ${target}` : ''
  return `${use}, replaced in ${refill(refillMs)}; ${wish} ${wish === 1 ? 'keeps' : 'keep'} misses below 1 in ${rounded(1 / missProbability)}${room}.`
}

function often(perMinute: number): string {
  if (perMinute >= 60) return `${(perMinute / 60).toFixed(1)} sessions a second`
  if (perMinute >= 1) return `${perMinute.toFixed(1)} sessions a minute`
  const minutes = 1 / perMinute
  return minutes < 120
    ? `A session every ${Math.max(2, Math.round(minutes))} minutes`
    : `A session every ${Math.round(minutes / 60)} hours`
}

const refill = (ms: number): string => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`)

/** Two digits are all it is good for. */
function rounded(value: number): string {
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(value)) - 1)
  return (Math.round(value / unit) * unit).toLocaleString('en')
}
