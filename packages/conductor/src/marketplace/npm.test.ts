import assert from 'node:assert/strict'
import test from 'node:test'
import { npmFailure } from './npm.ts'
import { npmEnvironment } from './npm-environment.ts'
import { withoutCredentials } from './without-credentials.ts'

test('what npm reports becomes a code of ours', () => {
  const codeFor = (code: string) => npmFailure(JSON.stringify({ error: { code, summary: 's' } }), '').code
  assert.equal(codeFor('E404'), 'package_not_found')
  assert.equal(codeFor('ETARGET'), 'package_not_found')
  assert.equal(codeFor('EINTEGRITY'), 'package_integrity_failed')
  assert.equal(codeFor('EWHATEVER'), 'install_failed')
  assert.equal(npmFailure('not json', 'boom').code, 'install_failed')
  assert.match(npmFailure('not json', 'boom').message, /boom/)
})

test('no credential survives in what npm said', () => {
  const planted = [
    'GET https://user:s3cr3t-word@registry.test/x failed',
    '//registry.test/:_authToken=s3cr3t-word',
    '_auth = "s3cr3t-word"',
    'authorization: Bearer s3cr3t-word',
    '{"token":"s3cr3t-word"}',
    `npm_${'s3cr3tword'.repeat(4)}`,
  ]
  for (const text of planted) assert.doesNotMatch(withoutCredentials(text), /s3cr3t/, text)
  const harmless = 'Not Found - GET https://registry.test/@scope%2fname'
  assert.equal(withoutCredentials(harmless), harmless)
})

test('npm sees its own settings and nothing of ours', () => {
  assert.deepEqual(
    npmEnvironment({
      PATH: '/bin',
      https_proxy: 'http://proxy',
      npm_config_registry: 'https://registry.test/',
      npm_config_prefix: '/elsewhere',
      npm_config_local_prefix: '/elsewhere',
      npm_package_name: 'maestro-conductor',
      DATABASE_URL: 'postgres://secret',
      MAESTRO_DATA: '/data',
      OPENAI_API_KEY: 'secret',
      UNSET: undefined,
    }),
    { PATH: '/bin', https_proxy: 'http://proxy', npm_config_registry: 'https://registry.test/' },
  )
})
