import assert from 'node:assert/strict'
import { it } from 'node:test'
import type { SandboxSpec } from '../../sandbox.ts'
import { requireGuestPython } from './require-guest-python.ts'

const imageOf = (...files: string[]) => ({
  parts: { recipe: '', node: '', kernel: '', packages: Object.fromEntries(files.map(file => [file, ''])) },
})
const image = imageOf(
  'libpython3.11-minimal_3.11.2-6_amd64.deb',
  'python3-minimal_3.11.2-1_amd64.deb',
  'python3.11-minimal_3.11.2-6_amd64.deb',
)
const specOf = (runtime: 'node' | 'python') => ({ id: 'sbx_1' as SandboxSpec['id'], program: { runtime, entry: 'server' } })
const python = (version: string) => async () => ({ program: '/opt/python', prefix: '/opt', version, tag: '', pip: null })

it('a Python server starts in a guest whose Python is the one that installed it', async () => {
  await requireGuestPython('microvm', specOf('python'), image, python('3.11.9'))
  await requireGuestPython('microvm', specOf('python'), image, () => Promise.reject(new Error('none on this machine')))
  await requireGuestPython('microvm', specOf('node'), imageOf(), python('3.11.9'))
})

it('else both are named, before a package fails to load', async () => {
  await assert.rejects(requireGuestPython('microvm', specOf('python'), image, python('3.1.1')), {
    code: 'sandbox_unavailable',
    message: /guests have Python 3\.11, and servers are installed here with 3\.1\.1 \(\/opt\/python\)/,
  })
  await assert.rejects(requireGuestPython('firecracker', specOf('python'), imageOf(), python('3.11.9')), {
    code: 'sandbox_unavailable',
    message: /firecracker: guests have no Python; run maestro image build/,
  })
})
