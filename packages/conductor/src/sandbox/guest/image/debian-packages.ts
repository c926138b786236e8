import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { ConductorError } from '@maestro/contract'

const execute = promisify(execFile)
const outputBytesMax = 16 * 1024 * 1024
const downloadMsMax = 600_000

/** The virtual package that depends on the kernel of the day, made for virtual machines. */
const kernelPackage = 'linux-image-cloud-amd64'
/** What the agent runs on, outside of the sandbox. */
const agentPackages = ['perl-base', 'libc6', 'libcrypt1']
/** What servers see, with all it needs to run. */
const rootPackages = ['busybox-static', 'python3-minimal', 'libpython3-stdlib', 'libstdc++6', 'ca-certificates']
/** What dependencies name for installing and configuring packages, which nobody does in there. */
const notInRoot =
  /^(debconf.*|cdebconf|dpkg|install-info|perl|perl-.*|libperl.*|libgdbm.*|tar|openssl|mailcap|mime-support|readline-common|gcc-.*-base|libmd0|libacl1|libselinux1|libpcre2-.*|libzstd1|libtirpc-common)$/

export interface FetchedPackages {
  kernel: string
  agent: string[]
  root: string[]
  /** SHA-256 by file name: what the image is made of. */
  digests: Record<string, string>
}

/** Downloads the Debian packages of an image with the machine's own apt, which checks their signatures. Throws `image_build_failed`. */
export async function fetchPackages(folder: string): Promise<FetchedPackages> {
  const kernelName = (await dependenciesOf([kernelPackage], false)).find(name => /^linux-image-\d/.test(name))
  if (!kernelName) {
    throw new ConductorError(
      'image_build_failed',
      `apt knows no kernel for guests (package ${kernelPackage}); run apt-get update, on Debian 12 or newer for amd64`,
    )
  }
  const rootNames = (await dependenciesOf(rootPackages, true)).filter(name => !notInRoot.test(name))
  await mkdir(folder, { recursive: true })
  const names = [...new Set([kernelName, ...agentPackages, ...rootNames])]
  // As root apt would download as a user of its own, who may not write here.
  await run('apt-get', ['-q', '-o', 'APT::Sandbox::User=root', 'download', ...names], folder)
  const files = (await readdir(folder)).filter(name => name.endsWith('.deb')).sort()
  const digests: Record<string, string> = {}
  for (const name of files)
    digests[name] = createHash('sha256')
      .update(await readFile(join(folder, name)))
      .digest('hex')
  const fileOf = (name: string): string => {
    const file = files.find(candidate => candidate.startsWith(`${name}_`))
    if (!file) throw new ConductorError('image_build_failed', `apt did not download ${name}`)
    return join(folder, file)
  }
  return { kernel: fileOf(kernelName), agent: agentPackages.map(fileOf), root: rootNames.map(fileOf), digests }
}

/** Unpacks packages over each other, without running anything of them. */
export async function unpackPackages(files: readonly string[], folder: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  for (const file of files) await run('dpkg-deb', ['-x', file, folder], folder)
}

async function dependenciesOf(names: readonly string[], all: boolean): Promise<string[]> {
  const without = ['recommends', 'suggests', 'conflicts', 'breaks', 'replaces', 'enhances'].map(kind => `--no-${kind}`)
  const text = await run('apt-cache', ['depends', ...(all ? ['--recurse'] : []), ...without, ...names], '/')
  // Names stand at the start of a line, or behind "Depends:" and "PreDepends:"; those in angle brackets are virtual.
  const found = text.matchAll(all ? /^([a-z0-9][^\s:<]*)$/gm : /Depends: ([^\s<]+)/g)
  return [...new Set([...found].map(match => match[1]!))].sort()
}

async function run(program: string, args: readonly string[], cwd: string): Promise<string> {
  try {
    const options = { cwd, maxBuffer: outputBytesMax, timeout: downloadMsMax }
    return (await execute(program, args, options)).stdout
  } catch (cause) {
    const { code, stderr } = cause as { code?: string; stderr?: string }
    const why =
      code === 'ENOENT' ? 'was not found; images are built on Debian, from its packages' : lastLineOf(stderr ?? String(cause))
    throw new ConductorError('image_build_failed', `${program} ${why}`, { program }, cause)
  }
}

const lastLineOf = (text: string): string => text.trim().split('\n').at(-1) ?? ''
