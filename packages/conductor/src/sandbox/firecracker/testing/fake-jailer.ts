/**
 * Stands in for the jailer: takes exactly the options that are published (spec/firecracker/jailer.json), makes what the jailer makes of
 * the folder it is given, and starts the program in a process namespace of its own, with the limits asked for. It does not change root or
 * user, because the program it starts is Node: what the user could not read or write is checked by `fake-firecracker.ts` instead.
 */
import { spawn } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  constants,
  copyFileSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { childrenOf } from '../../processes.ts'

interface Option {
  value: boolean
  required?: boolean
  multiple?: boolean
  default?: string
  pattern?: string
}

const { options } = JSON.parse(
  readFileSync(new URL('../../../../../../spec/firecracker/jailer.json', import.meta.url), 'utf8'),
) as { options: Record<string, Option> }

function fail(message: string): never {
  process.stderr.write(`Jailer error: ${message}\n`)
  process.exit(1)
}

function readArguments(args: string[]): { given: Map<string, string[]>; extra: string[] } {
  const given = new Map<string, string[]>()
  let at = 0
  for (; at < args.length && args[at] !== '--'; at++) {
    const name = args[at]!.replace(/^--/, '')
    const option = args[at]!.startsWith('--') ? options[name] : undefined
    if (!option) fail(`Found argument '${args[at]}' which wasn't expected, or isn't valid in the context.`)
    if (given.has(name) && !option.multiple) fail(`The argument '${name}' was provided more than once.`)
    const value = option.value ? args[++at] : ''
    if (value === undefined || (option.value && value.startsWith('--'))) fail(`The argument '${name}' requires a value.`)
    if (option.pattern && !new RegExp(option.pattern).test(value)) fail(`Invalid value of '${name}': ${value}`)
    given.set(name, [...(given.get(name) ?? []), value])
  }
  for (const [name, option] of Object.entries(options)) {
    if (option.required && !given.has(name) && !given.has('version')) fail(`Argument '${name}' required, but not found.`)
  }
  return { given, extra: args.slice(at + 1) }
}

const { given, extra } = readArguments(process.argv.slice(2))
if (given.has('version')) {
  process.stdout.write('Jailer v1.16.1\n')
  process.exit(0)
}
const one = (name: string): string => given.get(name)?.[0] ?? options[name]?.default ?? ''
const program = realpathSync(one('exec-file'))
const [uid, gid] = [Number(one('uid')), Number(one('gid'))]
if (!statSync(one('chroot-base-dir')).isDirectory()) fail(`${one('chroot-base-dir')} is not a directory`)
if (uid === 0) fail('a jail for root is none')
const root = join(realpathSync(one('chroot-base-dir')), basename(program), one('id'), 'root')
mkdirSync(root, { recursive: true })
const copy = join(root, basename(program))
copyFileSync(program, copy, constants.COPYFILE_EXCL)
chmodSync(copy, 0o755)
for (const folder of ['', 'dev', 'dev/net', 'run']) {
  mkdirSync(join(root, folder), { recursive: true, mode: 0o700 })
  chownSync(join(root, folder), uid, gid)
}
const limits = (given.get('resource-limit') ?? ['no-file=2048']).map(limit => `--${limit.replace('no-file', 'nofile')}`)
const command = [copy, `--id=${one('id')}`, '--start-time-us=1', '--start-time-cpu-us=1', ...extra]
const spaces = given.has('new-pid-ns') ? ['unshare', '--pid', '--fork', '--kill-child=SIGKILL', '--'] : []
const [first, ...rest] = [...spaces, 'prlimit', ...limits, '--', ...command]
// As in the jail: nothing of the environment, and the root of the jail is where the program is.
const child = spawn(first!, rest, { cwd: root, env: { PATH: '/usr/bin:/bin' }, stdio: 'inherit' })
child.once('error', error => fail(error.message))
for (let looks = 0; looks < 400 && child.exitCode === null; looks++) {
  const pid = given.has('new-pid-ns') ? childrenOf(child.pid!)[0] : child.pid
  if (pid) {
    writeFileSync(join(root, `${basename(program)}.pid`), String(pid), { flag: 'wx' })
    process.exit(0)
  }
  await setTimeout(5)
}
fail(`the program ended with ${child.exitCode}`)
