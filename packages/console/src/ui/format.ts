import { zoneNow } from './zone.ts'

/** How values read on screen. Units are always shown. */

const integers = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })

export const count = (value: number): string => integers.format(value)

export const plural = (value: number, one: string, many = `${one}s`): string => `${count(value)} ${value === 1 ? one : many}`

export function bytes(value: number): string {
  if (value < 1024) return `${value} B`
  const units = ['KiB', 'MiB', 'GiB', 'TiB']
  let unit = -1
  let scaled = value
  do {
    scaled /= 1024
    unit++
  } while (scaled >= 1024 && unit < units.length - 1)
  return `${scaled < 10 ? scaled.toFixed(1) : Math.round(scaled)} ${units[unit]}`
}

/** A duration from µs to days, three digits at most. */
export function duration(ms: number): string {
  if (ms < 0) return `−${duration(-ms)}`
  if (ms === 0) return '0 ms'
  if (ms < 0.9995) return `${Math.round(ms * 1000)} µs`
  if (ms < 9.995) return `${ms.toFixed(2)} ms`
  if (ms < 99.95) return `${ms.toFixed(1)} ms`
  if (ms < 999.5) return `${Math.round(ms)} ms`
  if (ms < 59_950) return `${(ms / 1000).toFixed(ms < 9_995 ? 2 : 1)} s`
  const minutes = Math.floor(ms / 60_000)
  if (minutes < 60) return `${minutes} min ${Math.floor((ms % 60_000) / 1000)} s`
  const hours = Math.floor(minutes / 60)
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`
}

export const percent = (share: number): string => `${share === 1 || share === 0 ? share * 100 : (share * 100).toFixed(1)} %`

/** `2 min ago`, `just now`. */
export function ago(at: number, now: number): string {
  const seconds = Math.max(0, Math.round((now - at) / 1000))
  if (seconds < 5) return 'just now'
  if (seconds < 60) return `${seconds} s ago`
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ago`
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)} h ago`
  return `${Math.floor(seconds / 86_400)} d ago`
}

/** Date and time with its offset, to the millisecond: what a relative time shows on hover. */
export function exact(at: number): string {
  const date = inZone(at)
  const minutes = zoneNow() === 'utc' ? 0 : -new Date(at).getTimezoneOffset()
  const zone =
    minutes === 0 ? '' : `${minutes < 0 ? '−' : '+'}${two(Math.floor(Math.abs(minutes) / 60))}:${two(Math.abs(minutes) % 60)}`
  return `${date.toISOString().slice(0, 10)} ${clock(at)} UTC${zone}`
}

/** Time of day to the millisecond. */
export const clock = (at: number): string => inZone(at).toISOString().slice(11, 23)

/** A date whose UTC fields are those of the zone that is shown. */
function inZone(at: number): Date {
  const offsetMinutes = zoneNow() === 'utc' ? 0 : new Date(at).getTimezoneOffset()
  return new Date(at - offsetMinutes * 60_000)
}

const two = (value: number): string => String(value).padStart(2, '0')

export const shortDigest = (digest: string): string => digest.replace(/^(sha256:)([0-9a-f]{12})[0-9a-f]+$/, '$1$2…')

/** The random end of an id tells two apart; the time at its start does not. */
export const shortId = (id: string): string => id.replace(/^([a-z]+_)[0-9a-z]+([0-9a-z]{8})$/, '$1…$2')
