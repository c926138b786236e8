import { closeSync, readdirSync, readFileSync } from 'node:fs'

/** `O_CLOEXEC`, `asm-generic/fcntl.h`, as /proc/<pid>/fdinfo shows it. */
const closeOnExec = 0o2000000
const lastStandard = 2

/**
 * Closes what whoever started us left open beside the standard streams. What we open ourselves is closed on exec; these are not, and
 * would be open in every server we start: a file, a socket or a lock of the machine inside of a sandbox. Node marks low numbers only.
 * Returns the numbers it closed; none where there is no /proc.
 */
export function closeInheritedDescriptors(): number[] {
  return descriptors().filter(number => {
    if (number <= lastStandard || number === channel() || !isPassedOn(number)) return false
    try {
      closeSync(number)
      return true
    } catch {
      return false
    }
  })
}

function descriptors(): number[] {
  try {
    return readdirSync('/proc/self/fd').map(Number)
  } catch {
    return []
  }
}

function isPassedOn(number: number): boolean {
  try {
    const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${number}`, 'latin1'))?.[1]
    return flags !== undefined && (Number.parseInt(flags, 8) & closeOnExec) === 0
  } catch {
    return false
  }
}

/** The pipe to a Node that started us with one. */
const channel = (): number | undefined => (process.channel as { fd?: number } | undefined)?.fd
