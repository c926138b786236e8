/**
 * Goal: every call our client can make is one that Firecracker publishes, and a slip in any of them would be seen.
 * Method: record what each method sends, hold it against the description, then spoil it in every way a slip can and see it refused.
 */
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { quietWorld } from '../testing/specimen.ts'
import { FirecrackerApi } from './api.ts'
import { entropyLimiter, machineOf, readLimiter } from './limits.ts'
import { description, Fault, Order, readCall } from './testing/api-model.ts'

interface Sent {
  method: string
  path: string
  body: Record<string, unknown> | undefined
}

class RecordingApi extends FirecrackerApi {
  readonly sent: Sent[] = []
  override call<Answer>(method: 'GET' | 'PUT' | 'PATCH', path: string, body?: object): Promise<Answer> {
    this.sent.push({ method, path, body: body as Sent['body'] })
    return Promise.resolve({} as Answer)
  }
}

const limits = { memoryBytesMax: 256 << 20, pidsMax: 64, cpusMax: 1.5, diskBytesMax: 16 << 20, lineBytesMax: 1 << 20 }
const backend = { backend_type: 'File', backend_path: '/memory' } as const

/** Every method once, with bodies as the driver makes them. */
async function everyCall(): Promise<Sent[]> {
  const api = new RecordingApi('/nowhere', quietWorld())
  await api.describe()
  await api.version()
  await api.vmConfig()
  await api.setLogger({ log_path: '/log', level: 'Warning', show_level: true })
  await api.setMetrics('/metrics')
  await api.setMachine(machineOf(limits))
  await api.setBootSource({ kernel_image_path: '/kernel', initrd_path: '/initramfs', boot_args: 'quiet' })
  await api.setDrive({
    ...{ drive_id: 'root', path_on_host: '/root.ext4', is_root_device: false, is_read_only: true },
    ...{ cache_type: 'Unsafe', io_engine: 'Sync', rate_limiter: readLimiter },
  })
  await api.setVsock({ guest_cid: 3, uds_path: '/v.sock' })
  await api.setEntropy(entropyLimiter)
  await api.start()
  await api.pause()
  await api.createSnapshot({ snapshot_type: 'Full', snapshot_path: '/state', mem_file_path: '/memory' })
  await api.createSnapshot({ snapshot_type: 'Diff', snapshot_path: '/state', mem_file_path: '/memory' })
  await api.resume()
  await api.loadSnapshot({ snapshot_path: '/state', mem_backend: backend, resume_vm: true, track_dirty_pages: false })
  await api.loadSnapshot({
    ...{ snapshot_path: '/state', mem_backend: { backend_type: 'Uffd', backend_path: '/pages.sock' }, clock_realtime: true },
    ...{ network_overrides: [{ iface_id: 'eth0', host_dev_name: 'tap1' }], vsock_override: { uds_path: '/other.sock' } },
  })
  await api.flushMetrics()
  await api.sendCtrlAltDel()
  return api.sent
}

const read = ({ method, path, body }: Sent) => readCall(method, path, body === undefined ? '' : JSON.stringify(body))

/** Every place of a body, as the keys that lead there. */
function placesOf(value: unknown, way: (string | number)[] = []): (string | number)[][] {
  if (typeof value !== 'object' || value === null) return [way]
  return [way, ...Object.entries(value).flatMap(([key, inner]) => placesOf(inner, [...way, key]))]
}

function changed(
  body: object,
  way: readonly (string | number)[],
  change: (holder: any, key: string | number) => void,
): Record<string, unknown> {
  const whole = { body: structuredClone(body) }
  const full = ['body', ...way]
  const holder = full.slice(0, -1).reduce<any>((inner, key) => inner[key], whole)
  change(holder, full.at(-1)!)
  return whole.body as Record<string, unknown>
}

const refused = (sent: Sent, why: string) => assert.throws(() => read(sent), Fault, `${sent.method} ${sent.path} ${why}`)

describe('every call of the Firecracker client', () => {
  it('is accepted by the published description', async () => {
    for (const sent of await everyCall()) assert.doesNotThrow(() => read(sent), `${sent.method} ${sent.path}`)
  })

  it('is refused with a field that is not there, of another type, or missing where it must be', async () => {
    let tried = 0
    for (const sent of await everyCall()) {
      if (!sent.body) continue
      for (const way of placesOf(sent.body)) {
        const value = way.reduce<any>((inner, key) => inner[key], sent.body)
        if (typeof value === 'object' && !Array.isArray(value)) {
          const body = changed(sent.body, [...way, 'unheard_of'], (holder, key) => (holder[key] = 1))
          refused({ ...sent, body }, `with ${way.join('.')}.unheard_of`)
          tried++
        }
        if (way.length === 0) continue
        const other = typeof value === 'string' ? 7 : `${value}`
        refused(
          { ...sent, body: changed(sent.body, way, (holder, key) => (holder[key] = other)) },
          `with another ${way.join('.')}`,
        )
        tried++
      }
    }
    assert.ok(tried > 60, `${tried} slips`)
    const required: [string, string, object][] = [
      ['PUT', '/machine-config', { vcpu_count: 1 }],
      ['PUT', '/boot-source', { boot_args: 'quiet' }],
      ['PUT', '/drives/root', { drive_id: 'root' }],
      ['PUT', '/vsock', { uds_path: '/v.sock' }],
      ['PUT', '/snapshot/create', { snapshot_path: '/state' }],
      ['PUT', '/snapshot/load', { mem_backend: backend }],
    ]
    for (const [method, path, body] of required) refused({ method, path, body: body as Sent['body'] }, 'without a field it needs')
  })

  it('is refused with a value that is out of bounds, or to another place', () => {
    const calls: [string, string, object?][] = [
      ['PUT', '/machine-config', { vcpu_count: 33, mem_size_mib: 128 }],
      ['PUT', '/machine-config', { vcpu_count: 0, mem_size_mib: 128 }],
      ['PUT', '/machine-config', { vcpu_count: 1.5, mem_size_mib: 128 }],
      ['PUT', '/vsock', { guest_cid: 2, uds_path: '/v.sock' }],
      ['PUT', '/entropy', { rate_limiter: { ops: { size: -1, refill_time: 1 } } }],
      ['PUT', '/entropy', { rate_limiter: { ops: { size: 1 } } }],
      ['PATCH', '/vm', { state: 'Stopped' }],
      ['PUT', '/actions', { action_type: 'Reboot' }],
      ['PUT', '/snapshot/create', { snapshot_type: 'Half', snapshot_path: '/state', mem_file_path: '/memory' }],
      ['PUT', '/drives/root', { drive_id: 'bundle', is_root_device: false }],
      ['PUT', '/vm', { state: 'Paused' }],
      ['PUT', '/snapshots/create', { snapshot_path: '/state', mem_file_path: '/memory' }],
      ['GET', '/machine'],
    ]
    for (const [method, path, body] of calls) refused({ method, path, body: body as Sent['body'] }, JSON.stringify(body))
  })

  it('goes to an operation of the description, of which each body names its fields', () => {
    assert.ok(Object.keys(description.paths).length > 20)
    for (const [name, definition] of Object.entries(description.definitions) as [string, any][]) {
      if (definition.type !== 'object') continue
      assert.ok(definition.properties || definition.additionalProperties === true, name)
      for (const field of definition.required ?? []) assert.ok(definition.properties[field], `${name}.${field}`)
    }
  })
})

describe('the order of calls', () => {
  const admit = (order: Order, method: string, path: string, body?: object) =>
    order.admit(readCall(method, path, body === undefined ? '' : JSON.stringify(body)))

  it('has what configures before the start, and what works a machine after', () => {
    const order = new Order()
    admit(order, 'PUT', '/vsock', { guest_cid: 3, uds_path: '/v.sock' })
    assert.throws(() => admit(order, 'PATCH', '/vm', { state: 'Paused' }), /before starting/)
    assert.throws(() => admit(order, 'PUT', '/actions', { action_type: 'FlushMetrics' }), /before starting/)
    admit(order, 'PUT', '/actions', { action_type: 'InstanceStart' })
    order.state = 'Running'
    assert.throws(() => admit(order, 'PUT', '/vsock', { guest_cid: 3, uds_path: '/v.sock' }), /after starting/)
    assert.throws(() => admit(order, 'PUT', '/actions', { action_type: 'InstanceStart' }), /after starting/)
  })

  it('stores only what is held, and restores only into a process that knows nothing but where to log', () => {
    const create = { snapshot_path: '/state', mem_file_path: '/memory' }
    const running = new Order()
    running.state = 'Running'
    assert.throws(() => admit(running, 'PUT', '/snapshot/create', create), /paused/)
    running.state = 'Paused'
    admit(running, 'PUT', '/snapshot/create', create)
    assert.throws(
      () => admit(running, 'PUT', '/snapshot/load', { snapshot_path: '/state', mem_backend: backend }),
      /after starting/,
    )
    const configured = new Order()
    admit(configured, 'PUT', '/machine-config', { vcpu_count: 1, mem_size_mib: 128 })
    assert.throws(
      () => admit(configured, 'PUT', '/snapshot/load', { snapshot_path: '/state', mem_backend: backend }),
      /not allowed/,
    )
    const fresh = new Order()
    admit(fresh, 'PUT', '/logger', { log_path: '/log' })
    assert.throws(() => admit(fresh, 'PUT', '/snapshot/load', { snapshot_path: '/state' }), /mem_backend/)
    admit(fresh, 'PUT', '/snapshot/load', { snapshot_path: '/state', mem_backend: backend })
  })
})

describe('the client against a server that misbehaves', () => {
  const against = async (answer: Parameters<typeof createServer>[1], use: (api: FirecrackerApi) => Promise<void>) => {
    const path = join(tmpdir(), `api-test-${process.pid}-${Math.random().toString(36).slice(2)}.sock`)
    const server = createServer(answer!).listen(path)
    const api = new FirecrackerApi(path, quietWorld())
    try {
      await use(api)
    } finally {
      api.close()
      server.closeAllConnections()
      server.close()
    }
  }

  it('carries on what it was told', () =>
    against(
      (_, response) => response.writeHead(400).end('{"fault_message":"The kernel file cannot be opened"}'),
      api =>
        assert.rejects(api.start(), { code: 'sandbox_start_failed', message: /PUT \/actions: The kernel file cannot be opened/ }),
    ))

  it('waits no longer than it may, and takes no more than it can use', async () => {
    await against(
      () => {},
      api => assert.rejects(api.call('GET', '/', undefined, 50), { message: /no answer within 50 ms/ }),
    )
    await against(
      (_, response) => response.end(`{"id":"${'x'.repeat(2 << 20)}"}`),
      api => assert.rejects(api.describe(), { message: /more than 1048576 bytes/ }),
    )
    await against(
      (_, response) => response.end('[1]'),
      api => assert.rejects(api.describe(), { message: /no JSON object/ }),
    )
    await against(
      request => request.socket.destroy(),
      api => assert.rejects(api.describe(), { code: 'sandbox_start_failed' }),
    )
  })
})
