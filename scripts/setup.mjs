// All set-up that is missing, and nothing that is there. Runs on any Node ≥ 20, before there are dependencies.
// Everything it says goes to standard error: standard output belongs to what runs afterwards.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { accessSync, constants, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const stampFile = join(root, 'node_modules', '.maestro-setup')

/** Makes the project runnable; with `tests` also its browser and sandbox tests. Throws where the project cannot run without what failed. */
export async function ensureReady({ tests = false } = {}) {
  await ensureDependencies()
  await ensureConsole()
  if (process.env['MAESTRO_DRIVER'] !== 'process') await ensureProgram('bubblewrap', ['bwrap'], 'servers run in its sandboxes')
  if (!tests) return
  await ensureProgram('chromium', ['chromium'], 'the console’s tests use it', process.env['CHROMIUM_PATH'])
  if (process.platform !== 'linux') return
  await ensureProgram('runsc', ['runsc'], 'the tests of the gVisor driver run on it')
  await ensureProgram('qemu-system-x86', ['qemu-system-x86_64'], 'the tests of the microVM driver run on it')
  await ensureProgram('e2fsprogs', ['/sbin/mke2fs', '/usr/sbin/mke2fs'], 'the disks of microVMs are made with it')
  await ensureProgram('python3', ['/usr/bin/python3'], 'the abuse tests make system calls with it')
  await ensureProgram('python3-pip', ['/usr/bin/pip3'], 'the tests of Python servers install them')
}

/** Runs a program of the project under the pinned Node, our standard streams and signals passed on. Resolves with its exit code. */
export function runUnderPinnedNode(args) {
  return run(pinnedNode(), args, { cwd: process.cwd(), stdio: 'inherit' })
}

/** The Node of the project, or this one where it is new enough and the project brings none for this system. */
function pinnedNode() {
  const os = process.platform === 'win32' ? 'win' : process.platform
  const name = process.platform === 'win32' ? 'node.exe' : 'node'
  const pinned = join(root, 'node_modules', `node-${os}-${process.arch}`, 'bin', name)
  if (existsSync(pinned)) return pinned
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major > 24 || (major === 24 && minor >= 15)) return process.execPath
  throw new Error(`There is no Node for ${os}-${process.arch} to bring along. Install Node 24.15 or newer and run this again.`)
}

/** `npm ci`, where the lockfile is not what is installed. */
async function ensureDependencies() {
  const lock = readFileSync(join(root, 'package-lock.json'))
  const stamp = `${createHash('sha256').update(lock).digest('hex')} ${process.platform}-${process.arch}\n`
  if (readOrNull(stampFile) === stamp) return
  if (!isInstalled(JSON.parse(lock.toString('utf8')))) {
    say('installing the locked dependencies (npm ci) …')
    const args = ['ci', '--include=dev', '--include=optional', '--loglevel=error', '--no-fund', '--no-audit']
    const npm = process.env['npm_execpath']
    const code = npm?.endsWith('npm-cli.js') ? await runAside(process.execPath, [npm, ...args]) : await runAside('npm', args)
    if (code !== 0) throw new Error(`npm ci ended with code ${code}; see above.`)
  }
  writeFileSync(stampFile, stamp)
}

/** Whether somebody has run `npm ci` already: npm notes in node_modules what it put there. */
function isInstalled(lock) {
  const installed = JSON.parse(readOrNull(join(root, 'node_modules', '.package-lock.json')) ?? '{}').packages
  if (!installed) return false
  return Object.entries(lock.packages).every(
    ([path, { version, optional, link }]) =>
      path === '' ||
      link ||
      !path.includes('node_modules/') ||
      installed[path]?.version === version ||
      (optional && !installed[path]),
  )
}

/** The console’s build, where it is missing or older than what it is built from. */
async function ensureConsole() {
  const built = statSync(join(root, 'packages/console/dist/index.html'), { throwIfNoEntry: false })?.mtimeMs ?? 0
  const sources = ['console/src', 'console/public', 'console/index.html', 'console/vite.config.ts', 'contract/src', 'logic/src']
  if (built > 0 && sources.every(path => newest(join(root, 'packages', path)) <= built)) return
  say('building the console …')
  const code = await runAside(pinnedNode(), ['scripts/build.ts'])
  if (code !== 0) throw new Error(`The console’s build ended with code ${code}; see above.`)
}

function newest(path) {
  const facts = statSync(path, { throwIfNoEntry: false })
  if (!facts) return 0
  if (!facts.isDirectory()) return /\.test\.tsx?$/.test(path) ? 0 : facts.mtimeMs
  // A folder's own time tells of files that went away.
  return Math.max(facts.mtimeMs, ...readdirSync(path).map(name => newest(join(path, name))))
}

/** A system package: installed where we may, else the command is said. */
async function ensureProgram(packageName, programs, why, given) {
  if (given ? existsSync(given) : programs.some(isOnPath)) return
  const isDebian = /^(ID|ID_LIKE)=.*\b(debian|ubuntu)\b/m.test(readOrNull('/etc/os-release') ?? '') && isOnPath('apt-get')
  if (!isDebian || process.getuid?.() !== 0) {
    const command =
      isDebian || process.platform !== 'linux'
        ? `sudo apt-get install ${packageName}`
        : `your package manager, package ${packageName}`
    say(`${packageName} is missing; ${why}. Install it with: ${command}`)
    return
  }
  say(`installing ${packageName} (apt-get); ${why} …`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const install = () => runAside('apt-get', ['install', '-y', '-q', '--no-install-recommends', packageName], env)
  // The lists of a fresh image are empty, those of an old one are stale; a good one saves the update.
  if ((await install()) === 0) return
  await runAside('apt-get', ['update', '-q'], env)
  if ((await install()) !== 0)
    say(`${packageName} could not be installed; ${why}. Install it with: apt-get install ${packageName}`)
}

function isOnPath(program) {
  const folders = program.startsWith('/') ? ['/'] : (process.env['PATH'] ?? '').split(delimiter)
  return folders.some(folder => {
    try {
      accessSync(join(folder, program), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

const say = text => process.stderr.write(`maestro set-up: ${text}\n`)

/** For set-up: whatever the program prints goes to standard error. */
const runAside = (program, args, env = process.env) => run(program, args, { cwd: root, env, stdio: ['ignore', 2, 2] })

function run(program, args, options) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, options)
    const passOn = signal => {
      // On a terminal Ctrl-C reaches the child by itself; passed on as well, it would count twice.
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal)
    }
    const signals = ['SIGTERM', 'SIGINT', 'SIGHUP']
    for (const signal of signals) process.on(signal, passOn)
    child.once('error', error => reject(new Error(`${program} cannot be run: ${error.message}`)))
    child.once('exit', (code, signal) => {
      for (const name of signals) process.off(name, passOn)
      resolve(code ?? { SIGINT: 130, SIGTERM: 143 }[signal] ?? 137)
    })
  })
}

function readOrNull(file) {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return null
  }
}
