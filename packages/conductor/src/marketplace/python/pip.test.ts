import assert from 'node:assert/strict'
import test from 'node:test'
import { pipFailure } from './pip.ts'
import { pipEnvironment } from './pip-environment.ts'

const python = { version: '3.11.2', tag: 'cpython-311-x86_64-linux-gnu' }
const codeOf = (...lines: string[]) => pipFailure(lines.join('\n'), python).code

test('what pip says becomes the code that tells what to do', () => {
  const none = 'ERROR: No matching distribution found for x==3.0'
  const ignored = 'ERROR: Ignored the following versions that require a different python version: 2.0 Requires-Python >=4'
  assert.equal(
    codeOf('ERROR: Could not find a version that satisfies the requirement x (from versions: none)', none),
    'package_not_found',
  )
  assert.equal(
    codeOf(ignored, 'ERROR: Could not find a version that satisfies the requirement x==3.0 (from versions: 1.0)', none),
    'package_not_found',
  )
  assert.equal(
    codeOf(ignored, 'ERROR: Could not find a version that satisfies the requirement x==2.0 (from versions: 1.0)', none),
    'package_not_runnable',
  )
  assert.equal(
    codeOf(
      "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError'",
      'ERROR: No matching distribution found for x',
    ),
    'install_failed',
  )
  assert.equal(codeOf('ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.'), 'package_integrity_failed')
  assert.equal(
    codeOf('PermissionError: maestro: no program may be started by an installation (subprocess.Popen)'),
    'package_not_runnable',
  )
  assert.equal(codeOf('something else'), 'install_failed')
})

test('a password in an index’s address is not in the message', () => {
  const { message } = pipFailure('WARNING: Retrying https://ada:hunter2@index.test/simple/ NewConnectionError', python)
  assert.match(message, /cannot be reached/)
  assert.doesNotMatch(message, /hunter2/)
})

test('pip sees the person’s index, proxy and certificates, and nothing that leads it astray or is not its business', () => {
  const kept = pipEnvironment({
    PATH: '/usr/bin',
    PIP_INDEX_URL: 'https://index.test/simple/',
    PIP_CERT: '/etc/ssl/ca.pem',
    https_proxy: 'http://proxy.test:3128',
    REQUESTS_CA_BUNDLE: '/etc/ssl/ca.pem',
    PIP_TARGET: '/srv',
    PIP_USER: '1',
    PIP_NO_BINARY: ':all:',
    npm_config_registry: 'https://registry.test/',
    NPM_TOKEN: 'secret',
    DATABASE_URL: 'postgres://secret',
    MAESTRO_DATA: '/srv',
    PYTHONPATH: '/srv',
  })
  assert.deepEqual(Object.keys(kept).sort(), ['PATH', 'PIP_CERT', 'PIP_INDEX_URL', 'REQUESTS_CA_BUNDLE', 'https_proxy'])
})
