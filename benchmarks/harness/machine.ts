import { readFileSync } from 'node:fs'
import { cpus, release, totalmem, type } from 'node:os'

/** The machine in one line, for every table of figures. */
export function describeMachine(): string {
  const models = cpus().map(({ model }) => model.trim())
  const memoryGiB = Math.round(totalmem() / 2 ** 30)
  return `${models.length} × ${models[0] ?? 'unknown CPU'}${virtualized()}, ${memoryGiB} GiB, ${system()}, ${type()} ${release()}, Node ${process.version}`
}

function virtualized(): string {
  return /^flags.*\bhypervisor\b/m.test(read('/proc/cpuinfo')) ? ' (virtual machine)' : ''
}

const system = (): string => /^PRETTY_NAME="?([^"\n]+)/m.exec(read('/etc/os-release'))?.[1] ?? process.platform

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
