import assert from 'node:assert/strict'
import test from 'node:test'
import { checkKernel } from './check-kernel.ts'
import { checkNode } from './check-node.ts'

const files = (more: Record<string, string | null>) => {
  const all: Record<string, string | null> = {
    '/proc/sys/user/max_user_namespaces': '96365\n',
    '/proc/sys/kernel/seccomp/actions_avail': 'kill_process errno allow\n',
    '/sys/fs/cgroup/cgroup.controllers': 'cpu memory pids\n',
    ...more,
  }
  return (path: string) => all[path] ?? null
}
const states = (more: Record<string, string | null>, isRoot = false) =>
  Object.fromEntries(checkKernel('linux', files(more), isRoot).map(({ name, state }) => [name, state]))

test('what a kernel forbids is found, with the command that allows it', () => {
  assert.equal(states({})['user namespaces'], 'ok')
  assert.equal(states({ '/proc/sys/user/max_user_namespaces': '0\n' })['user namespaces'], 'failed')
  assert.equal(states({ '/proc/sys/kernel/unprivileged_userns_clone': '0\n' })['user namespaces'], 'failed')
  assert.equal(states({ '/proc/sys/kernel/unprivileged_userns_clone': '0\n' }, true)['user namespaces'], 'ok')
  assert.equal(states({ '/proc/sys/kernel/apparmor_restrict_unprivileged_userns': '1\n' })['user namespaces'], 'weak')
  assert.equal(states({ '/proc/sys/kernel/seccomp/actions_avail': null })['seccomp'], 'failed')
  assert.equal(states({ '/sys/fs/cgroup/cgroup.controllers': 'cpu\n' })['cgroups'], 'weak')
  for (const check of checkKernel('linux', files({ '/proc/sys/user/max_user_namespaces': '0' }), false)) {
    if (check.state === 'failed') assert.match(check.mend ?? '', /sysctl/)
  }
})

test('elsewhere than on Linux there is nothing to look at', () => {
  assert.deepEqual(
    checkKernel('darwin').map(({ state }) => state),
    ['unknown'],
  )
})

test('a Node that is too old is found', () => {
  assert.equal(checkNode('24.15.0').state, 'ok')
  assert.equal(checkNode('26.0.0').state, 'ok')
  assert.equal(checkNode('24.14.9').state, 'failed')
  assert.equal(checkNode('20.20.2').state, 'failed')
})
