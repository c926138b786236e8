import { accessSync, constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { basename, extname, join } from 'node:path'
import { ConductorError } from '@maestro/contract'

/** What it takes to run a file. */
export type FileKind = 'node' | 'python' | 'native'

/** e_machine of the processors Node knows by these names. */
const machines: Readonly<Record<string, number>> = {
  x64: 0x3e,
  arm64: 0xb7,
  ia32: 0x03,
  arm: 0x28,
  riscv64: 0xf3,
  s390x: 0x16,
  ppc64: 0x15,
}
const systemFolders = ['/usr/local/bin', '/usr/bin', '/bin', '/usr/sbin', '/sbin']

/**
 * Tells by its first bytes and its name how a file is run; null for what is no program. Untrusted. Throws `package_not_runnable` where it
 * is a program for another processor, or for an interpreter that no sandbox has.
 */
export async function programKind(file: string): Promise<FileKind | null> {
  const head = await headOf(file)
  if (head === null) return null
  if (head.subarray(0, 4).equals(Buffer.from('\x7fELF', 'latin1'))) return elfKind(file, head)
  const [, interpreter = '', argument = ''] = /^#!\s*(\S+)(?:[ \t]+(?:-S[ \t]+)?(\S+))?/.exec(head.toString('latin1')) ?? []
  const program = basename(interpreter) === 'env' ? argument : interpreter
  if (/^node\b/.test(basename(program)) || ['.js', '.mjs', '.cjs'].includes(extname(file))) return 'node'
  if (/^python3?(\.\d+)?$/.test(basename(program)) || extname(file) === '.py') return 'python'
  if (interpreter === '') return null
  if (!isInSandbox(program))
    throw notRunnable(
      file,
      `is for ${JSON.stringify(program)}, which sandboxes do not have: it is not under /usr on this machine`,
    )
  return 'native'
}

function elfKind(file: string, head: Buffer): FileKind {
  const littleEndian = head[5] === 1
  const machine = head.length < 20 ? -1 : littleEndian ? head.readUInt16LE(18) : head.readUInt16BE(18)
  if (machine !== machines[process.arch]) throw notRunnable(file, `is not a program for ${process.arch}`)
  return 'native'
}

/** Sandboxes have the machine's /usr, and its old folders that mostly are links there. */
function isInSandbox(program: string): boolean {
  const paths = program.startsWith('/') ? [program] : systemFolders.map(folder => join(folder, program))
  return paths.some(path => /^\/(usr|bin|sbin)\//.test(path) && isExecutable(path))
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** The start of a regular file; null for anything else. */
async function headOf(file: string): Promise<Buffer | null> {
  try {
    await using handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK)
    if (!(await handle.stat()).isFile()) return null
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(256), 0, 256, 0)
    return buffer.subarray(0, bytesRead)
  } catch {
    return null
  }
}

const notRunnable = (file: string, why: string) =>
  new ConductorError('package_not_runnable', `The program ${JSON.stringify(basename(file))} ${why}.`)
