import { Agent, request } from 'node:http'
import { ConductorError } from '@maestro/contract'
import type { World } from '../../world.ts'

/** Bodies of the API, as far as we speak it. Source of every name and bound: spec/firecracker/api.json, checked by the contract test. */
export interface MachineConfiguration {
  vcpu_count: number
  mem_size_mib: number
  smt?: boolean
  track_dirty_pages?: boolean
  huge_pages?: 'None' | 'Transparent' | '2M'
}

export interface BootSource {
  kernel_image_path: string
  initrd_path?: string
  boot_args?: string
}

/** `size` tokens, refilled evenly within `refill_time` ms. */
export interface TokenBucket {
  size: number
  refill_time: number
  one_time_burst?: number
}

export interface RateLimiter {
  /** Tokens are bytes. */
  bandwidth?: TokenBucket
  /** Tokens are operations. */
  ops?: TokenBucket
}

export interface Drive {
  drive_id: string
  path_on_host: string
  is_root_device: boolean
  is_read_only: boolean
  cache_type?: 'Unsafe' | 'Writeback'
  io_engine?: 'Sync' | 'Async'
  rate_limiter?: RateLimiter
}

export interface Vsock {
  /** From 3 up; unique per virtual machine only, since the host end is a socket of its own. */
  guest_cid: number
  uds_path: string
}

export interface SnapshotCreate {
  snapshot_path: string
  mem_file_path: string
  /** `Diff` holds what changed since the last snapshot and wants `track_dirty_pages`. */
  snapshot_type?: 'Full' | 'Diff'
}

export interface SnapshotLoad {
  snapshot_path: string
  mem_backend: { backend_type: 'File' | 'Uffd'; backend_path: string }
  resume_vm?: boolean
  track_dirty_pages?: boolean
  network_overrides?: { iface_id: string; host_dev_name: string }[]
  vsock_override?: { uds_path: string }
  clock_realtime?: boolean
}

export interface Logger {
  log_path: string
  level?: 'Error' | 'Warning' | 'Info' | 'Debug' | 'Trace' | 'Off'
  show_level?: boolean
}

export interface InstanceInfo {
  id: string
  app_name: string
  state: 'Not started' | 'Running' | 'Paused'
  vmm_version: string
}

/** Most calls are answered within a millisecond or two. */
const callMsMax = 5000
/** These write or map the guest’s whole memory. */
const snapshotMsMax = 60_000
const answerBytesMax = 1024 * 1024

/**
 * Firecracker’s API over its Unix socket, one call at a time as the program itself works. Throws `sandbox_start_failed` with what
 * Firecracker said.
 */
export class FirecrackerApi {
  readonly #socketPath: string
  readonly #world: World
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 })

  constructor(socketPath: string, world: World) {
    this.#socketPath = socketPath
    this.#world = world
  }

  describe = () => this.call<InstanceInfo>('GET', '/')
  version = async () => (await this.call<{ firecracker_version: string }>('GET', '/version')).firecracker_version
  vmConfig = () => this.call<Record<string, unknown>>('GET', '/vm/config')

  setLogger = (body: Logger) => this.call('PUT', '/logger', body)
  setMetrics = (metricsPath: string) => this.call('PUT', '/metrics', { metrics_path: metricsPath })
  setMachine = (body: MachineConfiguration) => this.call('PUT', '/machine-config', body)
  setBootSource = (body: BootSource) => this.call('PUT', '/boot-source', body)
  setDrive = (body: Drive) => this.call('PUT', `/drives/${encodeURIComponent(body.drive_id)}`, body)
  setVsock = (body: Vsock) => this.call('PUT', '/vsock', body)
  setEntropy = (rateLimiter: RateLimiter) => this.call('PUT', '/entropy', { rate_limiter: rateLimiter })

  start = () => this.#act('InstanceStart')
  flushMetrics = () => this.#act('FlushMetrics')
  /** The guest sees a keyboard; one that listens ends itself in order. x86-64 only. */
  sendCtrlAltDel = () => this.#act('SendCtrlAltDel')

  pause = () => this.call('PATCH', '/vm', { state: 'Paused' })
  resume = () => this.call('PATCH', '/vm', { state: 'Resumed' })
  createSnapshot = (body: SnapshotCreate) => this.call('PUT', '/snapshot/create', body, snapshotMsMax)
  /** Only before anything but logger and metrics was set. A failure ends the process. */
  loadSnapshot = (body: SnapshotLoad) => this.call('PUT', '/snapshot/load', body, snapshotMsMax)

  close(): void {
    this.#agent.destroy()
  }

  #act(action: 'InstanceStart' | 'FlushMetrics' | 'SendCtrlAltDel') {
    return this.call('PUT', '/actions', { action_type: action })
  }

  /** One call, bounded in time and size. The methods above say what there is to call. */
  call<Answer = void>(method: 'GET' | 'PUT' | 'PATCH', path: string, body?: object, msMax = callMsMax): Promise<Answer> {
    const fail = (why: string, facts: Record<string, string | number> = {}, cause?: unknown) =>
      new ConductorError(
        'sandbox_start_failed',
        `firecracker, ${method} ${path}: ${why}`,
        { call: `${method} ${path}`, ...facts },
        cause,
      )
    return new Promise((resolve, reject) => {
      const text = body === undefined ? '' : JSON.stringify(body)
      const call = request({
        socketPath: this.#socketPath,
        agent: this.#agent,
        method,
        path,
        headers: {
          Accept: 'application/json',
          ...(text ? { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) } : {}),
        },
      })
      const cancel = this.#world.after(msMax, () => call.destroy(new Error(`no answer within ${msMax} ms`)))
      call.once('error', cause => {
        cancel()
        reject(fail(cause.message, {}, cause))
      })
      call.once('response', response => {
        const chunks: Buffer[] = []
        let bytes = 0
        response.on('data', (chunk: Buffer) => {
          bytes += chunk.length
          if (bytes > answerBytesMax) call.destroy(new Error(`more than ${answerBytesMax} bytes of answer`))
          else chunks.push(chunk)
        })
        response.once('error', cause => {
          cancel()
          reject(fail(cause.message, {}, cause))
        })
        response.once('end', () => {
          cancel()
          const status = response.statusCode ?? 0
          const answer = parseObject(Buffer.concat(chunks).toString('utf8'))
          if (status < 200 || status > 299) return reject(fail(faultOf(answer) ?? `status ${status}`, { status }))
          if (status === 200 && answer === null) return reject(fail('an answer that is no JSON object', { status }))
          resolve(answer as Answer)
        })
      })
      call.end(text)
    })
  }
}

function parseObject(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : null
  } catch {
    return null
  }
}

function faultOf(answer: Record<string, unknown> | null): string | null {
  const fault = answer?.['fault_message']
  return typeof fault === 'string' ? fault.slice(0, 2000) : null
}
