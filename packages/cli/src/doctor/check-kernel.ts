import { accessSync, constants, readFileSync } from 'node:fs'
import { type Check, failed, ok, unknown, weak } from './check.ts'

/** What the kernel lets a sandbox be made of. Only Linux has these; elsewhere there is nothing to say. */
export function checkKernel(platform = process.platform, read = readOrNull, isRoot = process.getuid?.() === 0): Check[] {
  if (platform !== 'linux')
    return [unknown('sandbox kernel', `${platform} has no namespaces; servers run unsandboxed with MAESTRO_DRIVER=process.`)]
  return [userNamespaces(read, isRoot), seccomp(read), cgroups(read)]
}

type Read = (path: string) => string | null

function userNamespaces(read: Read, isRoot: boolean): Check {
  const name = 'user namespaces'
  const max = read('/proc/sys/user/max_user_namespaces')
  if (max === null) return failed(name, 'the kernel has none', 'use a kernel with CONFIG_USER_NS')
  if (Number(max) === 0) return failed(name, 'switched off', 'sudo sysctl -w user.max_user_namespaces=15000')
  if (isRoot) return ok(name, `up to ${max.trim()}; as root they are not restricted`)
  if (read('/proc/sys/kernel/unprivileged_userns_clone')?.trim() === '0') {
    return failed(name, 'for root only', 'sudo sysctl -w kernel.unprivileged_userns_clone=1')
  }
  if (read('/proc/sys/kernel/apparmor_restrict_unprivileged_userns')?.trim() === '1') {
    return weak(name, 'AppArmor restricts them', 'sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0')
  }
  return ok(name, `up to ${max.trim()}`)
}

function seccomp(read: Read): Check {
  const actions = read('/proc/sys/kernel/seccomp/actions_avail')
  if (actions === null)
    return failed('seccomp', 'the kernel has no system call filter', 'use a kernel with CONFIG_SECCOMP_FILTER')
  return ok('seccomp', actions.trim().replaceAll(' ', ', '))
}

function cgroups(read: Read): Check {
  const name = 'cgroups'
  const mend = 'run as root, or with `systemd-run --user --scope -p Delegate=yes maestro up`'
  const unified = read('/sys/fs/cgroup/cgroup.controllers')
  if (unified !== null) {
    const missing = ['memory', 'pids', 'cpu'].filter(controller => !unified.split(/\s+/).includes(controller))
    if (missing.length > 0) return weak(name, `version 2 without ${missing.join(', ')}: limits are weaker`, mend)
    const own = read('/proc/self/cgroup')?.match(/^0::(.*)$/m)?.[1] ?? ''
    return isWritable(`/sys/fs/cgroup${own}`)
      ? ok(name, 'version 2, writable')
      : weak(name, 'version 2, not writable: limits by rlimit only', mend)
  }
  const writable = ['memory', 'pids', 'cpu'].filter(controller => isWritable(`/sys/fs/cgroup/${controller}`))
  if (writable.length === 3) return ok(name, 'version 1, writable')
  return weak(
    name,
    `version 1, ${writable.length === 0 ? 'not writable' : `only ${writable.join(', ')} writable`}: limits are weaker`,
    mend,
  )
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK)
    return true
  } catch {
    return false
  }
}

function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}
