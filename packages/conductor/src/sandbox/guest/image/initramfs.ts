import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { type ArchiveEntry, makeCpio } from './cpio.ts'

/** Drivers of what a guest has: virtio over MMIO, its disks, port, randomness and vsock. Whatever the kernel has built in needs no file. */
const wantedModules = ['virtio_mmio', 'virtio_blk', 'virtio_console', 'virtio-rng', 'vmw_vsock_virtio_transport']
const libraries = ['libc.so.6', 'libm.so.6', 'libcrypt.so.1']
const loader = 'ld-linux-x86-64.so.2'
const perlModules = ['strict.pm', 'warnings.pm', 'Errno.pm', 'Exporter.pm', 'Config.pm', 'XSLoader.pm']
const machine = 'x86_64-linux-gnu'

/** The first file system of a guest: the agent as its first process, the perl it runs on, the kernel's modules in the order they load. */
export async function makeInitramfs(
  unpacked: { agent: string; kernel: string },
  ours: { agent: string; relay: string },
): Promise<Buffer> {
  const entries: ArchiveEntry[] = []
  const folder = (path: string) => entries.push({ path, kind: 'folder' })
  const file = async (path: string, from: string, executable = false) =>
    entries.push({ path, kind: 'file', content: await readFile(from), executable })
  for (const path of ['dev', 'modules', 'lib', `lib/${machine}`, 'lib64', 'usr', 'usr/bin', 'usr/lib', `usr/lib/${machine}`])
    folder(path)
  folder(`usr/lib/${machine}/perl-base`)
  await file('init', ours.agent, true)
  await file('relay.pl', ours.relay)
  await file('usr/bin/perl', join(unpacked.agent, 'usr/bin/perl'), true)
  for (const name of perlModules) {
    await file(`usr/lib/${machine}/perl-base/${name}`, join(unpacked.agent, `usr/lib/${machine}/perl-base`, name))
  }
  for (const name of libraries) await file(`lib/${machine}/${name}`, await findLibrary(unpacked.agent, name), true)
  await file(`lib64/${loader}`, await findLibrary(unpacked.agent, loader), true)
  const order = await loadOrder(unpacked.kernel)
  for (const path of order) await file(`modules/${basename(path)}`, path)
  entries.push({ path: 'modules/order', kind: 'file', content: order.map(path => basename(path)).join(' ') })
  return makeCpio(entries)
}

async function findLibrary(root: string, name: string): Promise<string> {
  for (const folder of ['lib', 'usr/lib']) {
    const path = join(root, folder, machine, name)
    if (await stat(path).catch(() => null)) return path
  }
  throw new Error(`no package brought ${name}`)
}

/** Files of the wanted modules, each behind those it depends on. */
async function loadOrder(unpacked: string): Promise<string[]> {
  const found = new Map<string, string>()
  for (const top of ['lib/modules', 'usr/lib/modules']) {
    const names = await readdir(join(unpacked, top), { recursive: true }).catch(() => [])
    for (const name of names) if (name.endsWith('.ko')) found.set(moduleName(basename(name, '.ko')), join(unpacked, top, name))
  }
  const order: string[] = []
  const add = async (name: string): Promise<void> => {
    const path = found.get(moduleName(name))
    if (!path || order.includes(path)) return
    const depends = /\0depends=([^\0]*)\0/.exec((await readFile(path)).toString('latin1'))?.[1] ?? ''
    for (const other of depends.split(',').filter(Boolean)) await add(other)
    order.push(path)
  }
  for (const name of wantedModules) await add(name)
  return order
}

/** File names have a minus where names of modules have an underscore, sometimes. */
const moduleName = (name: string): string => name.replaceAll('-', '_')
