import { type Check, failed, ok } from './check.ts'

/** Whether this Node runs the project: 24.15 or newer. */
export function checkNode(version = process.versions.node): Check {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major > 24 || (major === 24 && minor >= 15)) return ok('node', `${version}`)
  return failed('node', `${version}; 24.15 or newer is needed`, 'npm ci, which brings the pinned one')
}
