/**
 * Stands in for Firecracker where there is no KVM: a process that serves its API over a Unix socket, refuses what the real one refuses
 * (`api-model.ts`), wants its files where and as a jailed process can use them, and keeps the vsock socket of its machine. The machine is
 * a `PlainGuest`. Its working folder stands for the root of the jail.
 */
import {
  closeSync,
  existsSync,
  ftruncateSync,
  lstatSync,
  openSync,
  readFileSync,
  readSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { createServer } from 'node:http'
import { createServer as createSocketServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Call, checkAnswer, Fault, Order, readCall } from './api-model.ts'
import { PlainGuest } from './plain-guest.ts'

const version = '1.16.1'
const MiB = 1024 * 1024
const bootMs = 30
const agentPort = 5000

const { values } = parseArgs({
  options: {
    ...{
      id: { type: 'string' },
      'api-sock': { type: 'string', default: '/run/firecracker.socket' },
      version: { type: 'boolean' },
    },
    ...{ 'start-time-us': { type: 'string' }, 'start-time-cpu-us': { type: 'string' } },
  },
})
if (values.version) {
  process.stdout.write(`Firecracker v${version}\n`)
  process.exit(0)
}

const root = process.cwd()
const { uid, gid } = statSync(root)
const order = new Order()

interface Configuration {
  machine: { vcpu_count: number; mem_size_mib: number }
  drives: { drive_id: string; path_on_host: string; is_read_only: boolean; is_root_device: boolean }[]
  vsock: { guest_cid: number; uds_path: string } | null
}
let configuration: Configuration = { machine: { vcpu_count: 1, mem_size_mib: 128 }, drives: [], vsock: null }
let bootSource: Record<string, unknown> | null = null
let guest: PlainGuest | null = null

/** A path of the jail as it is outside. Nothing leads out of a jail. */
function outside(path: unknown): string {
  const full = join(root, String(path))
  if (!full.startsWith(`${root}/`)) throw new Fault(`${path} is outside of the jail`)
  return full
}

/** The same for an address, which has little room: relative to where we are. */
const address = (path: unknown): string => outside(path).slice(root.length + 1)

/** A file that the jailed user can open so. */
function usable(path: unknown, wanted: 'read' | 'write'): string {
  const file = outside(path)
  const facts = existsSync(file) ? lstatSync(file) : null
  if (!facts?.isFile()) throw new Fault(`No such file or directory: ${path}`)
  const bit = wanted === 'read' ? 4 : 2
  const shift = facts.uid === uid ? 6 : facts.gid === gid ? 3 : 0
  if (((facts.mode >> shift) & bit) === 0) throw new Fault(`Permission denied: ${path} for ${uid} to ${wanted}`)
  return file
}

const handlers: Record<string, (body: any) => unknown> = {
  'GET /': () => ({ id: values.id, app_name: 'Firecracker', state: order.state, vmm_version: version }),
  'GET /version': () => ({ firecracker_version: version }),
  'GET /machine-config': () => configuration.machine,
  'GET /vm/config': () => ({
    ...{ 'machine-config': configuration.machine, drives: configuration.drives },
    ...(configuration.vsock ? { vsock: configuration.vsock } : {}),
    ...(bootSource ? { 'boot-source': bootSource } : {}),
  }),
  'PUT /logger': body => void writeFileSync(outside(body.log_path), '', { flag: 'a' }),
  'PUT /metrics': body => void writeFileSync(outside(body.metrics_path), '', { flag: 'a' }),
  'PUT /machine-config': body => {
    if (body.mem_size_mib < 1) throw new Fault('The memory size (MiB) is invalid.')
    if (body.smt && body.vcpu_count > 1 && body.vcpu_count % 2 === 1) throw new Fault('The vCPU number is invalid!')
    configuration.machine = body
  },
  'PUT /boot-source': body => {
    const kernel = readFileSync(usable(body.kernel_image_path, 'read'))
    if (!kernel.subarray(0, 4).equals(Buffer.from('\x7fELF', 'latin1'))) throw new Fault('The kernel is no ELF file.')
    if (body.initrd_path) usable(body.initrd_path, 'read')
    bootSource = body
  },
  'PUT /drives/{drive_id}': body => {
    if (body.path_on_host === undefined || body.is_read_only === undefined) throw new Fault('Unable to create the block device.')
    usable(body.path_on_host, 'read')
    if (!body.is_read_only) usable(body.path_on_host, 'write')
    configuration.drives = [...configuration.drives.filter(drive => drive.drive_id !== body.drive_id), body]
  },
  'PUT /vsock': body => {
    outside(body.uds_path)
    configuration.vsock = body
  },
  'PUT /entropy': () => {},
  'PUT /actions': ({ action_type: action }) => {
    if (action !== 'InstanceStart') return
    if (!bootSource) throw new Fault('Start microvm error: Cannot start microvm without kernel configuration.')
    runGuest(false, bootMs)
    order.state = 'Running'
  },
  'PATCH /vm': ({ state }) => {
    order.state = state === 'Paused' ? 'Paused' : 'Running'
    guest?.setPaused(state === 'Paused')
  },
  'PUT /snapshot/create': body => {
    if (!guest || guest.state === 'running') throw new Fault('this stand-in stores no running programs')
    guest.dropLink()
    const held = guest.held?.toString('base64') ?? null
    if (guest.storesLinkTo) symlinkSync(guest.storesLinkTo, outside(body.snapshot_path))
    else writeFileSync(outside(body.snapshot_path), JSON.stringify({ configuration, held }))
    const memory = openSync(outside(body.mem_file_path), 'w')
    writeSync(memory, `memory of ${configuration.machine.mem_size_mib} MiB`)
    ftruncateSync(memory, configuration.machine.mem_size_mib * MiB)
    closeSync(memory)
  },
  'PUT /snapshot/load': body => {
    const stored = JSON.parse(readFileSync(usable(body.snapshot_path, 'read'), 'utf8'))
    configuration = stored.configuration
    const memory = openSync(usable(body.mem_backend?.backend_path ?? body.mem_file_path, 'read'), 'r')
    const wanted = `memory of ${configuration.machine.mem_size_mib} MiB`
    const read = Buffer.alloc(wanted.length)
    readSync(memory, read)
    closeSync(memory)
    if (read.toString() !== wanted) throw new Fault('the memory file is of another machine')
    for (const drive of configuration.drives) usable(drive.path_on_host, drive.is_read_only ? 'read' : 'write')
    if (body.vsock_override) configuration.vsock!.uds_path = body.vsock_override.uds_path
    runGuest(true, 0, stored.held && Buffer.from(stored.held, 'base64'))
    order.state = body.resume_vm ? 'Running' : 'Paused'
  },
}

function runGuest(restored: boolean, delayMs: number, held: Buffer | null = null): void {
  const drive = (index: number) => outside(configuration.drives[index]?.path_on_host ?? 'absent')
  const prepared = configuration.drives.length > 2 ? drive(2) : null
  const started = new PlainGuest(join(root, 'guest'), { root: drive(0), bundle: drive(1), prepared }, restored, held)
  let listens = false
  setTimeout(() => {
    listens = true
  }, delayMs)
  if (configuration.vsock) {
    const path = outside(configuration.vsock.uds_path)
    if (existsSync(path)) throw new Fault(`Address in use: ${configuration.vsock.uds_path}`)
    createSocketServer(socket => greet(socket, started, () => listens)).listen(address(configuration.vsock.uds_path))
  }
  guest = started
}

/** The host’s half of a vsock connection: `CONNECT <port>`, then `OK <port>`, or the end where nobody listens. */
function greet(socket: Socket, to: PlainGuest, listens: () => boolean): void {
  let line = Buffer.alloc(0)
  socket.on('error', () => {})
  const take = (chunk: Buffer) => {
    line = Buffer.concat([line, chunk])
    const end = line.indexOf(0x0a)
    if (end < 0) return line.length > 32 ? void socket.destroy() : undefined
    socket.off('data', take)
    const port = /^CONNECT (\d+)$/.exec(line.toString('latin1', 0, end))?.[1]
    if (Number(port) !== agentPort || !listens() || order.state !== 'Running') return void socket.destroy()
    socket.write('OK 1073741824\n')
    to.accept(socket)
    if (line.length > end + 1) socket.emit('data', line.subarray(end + 1))
  }
  socket.on('data', take)
}

function answer(call: Call): { status: number; body: unknown } {
  order.admit(call)
  const handler = handlers[call.operation]
  if (!handler) throw new Fault(`this stand-in has no ${call.operation}`)
  const body = handler(call.body)
  return body === undefined ? { status: 204, body: undefined } : { status: 200, body }
}

createServer((request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.once('end', () => {
    let operation = ''
    let result: { status: number; body: unknown }
    try {
      const call = readCall(request.method ?? '', request.url ?? '', Buffer.concat(chunks).toString('utf8'))
      operation = call.operation
      result = answer(call)
      checkAnswer(operation, result.status, result.body)
    } catch (cause) {
      result = { status: cause instanceof Fault ? 400 : 500, body: { fault_message: String((cause as Error).message) } }
    }
    const text = result.body === undefined ? '' : JSON.stringify(result.body)
    response.writeHead(result.status, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) })
    response.end(text, () => {
      // After a failed load the process is in no state to go on.
      if (operation === 'PUT /snapshot/load' && result.status !== 204) process.exit(1)
    })
  })
}).listen(address(values['api-sock']))
