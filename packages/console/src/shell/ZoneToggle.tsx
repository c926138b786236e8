import { setZone, useZone } from '../ui/zone.ts'

/** Exact times as local time or as UTC. */
export function ZoneToggle() {
  const zone = useZone()
  const next = zone === 'local' ? 'utc' : 'local'
  const names = { local: 'local time', utc: 'UTC' }
  return (
    <button
      type="button"
      className="icon-button zone-toggle"
      aria-label={`Times in ${names[zone]}. Change to ${names[next]}`}
      title={`Exact times in ${names[zone]}`}
      onClick={() => setZone(next)}
    >
      {zone === 'utc' ? 'UTC' : 'local'}
    </button>
  )
}
