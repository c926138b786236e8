import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { keepRegistries, registriesIn } from './keep-registries.ts'

test('registries stay, for all packages and for scopes', () => {
  const text = 'registry=https://npm.example.com/\n@acme:registry = "https://npm.acme.example/api/npm"\r\n'
  assert.equal(registriesIn(text), 'registry=https://npm.example.com/\n@acme:registry=https://npm.acme.example/api/npm\n')
})

test('what names a program, sends a token or loosens a check goes', () => {
  for (const line of [
    'git=./evil.sh',
    'allow-git=all',
    'script-shell=./evil.sh',
    'ignore-scripts=false',
    'node-options=--require ./evil.js',
    'strict-ssl=false',
    'cafile=./evil.pem',
    'proxy=http://evil.example',
    'userconfig=/root/.npmrc',
    '//evil.example/:_authToken=${NPM_TOKEN}',
    'registry=https://evil.example/${NPM_TOKEN}/',
    '@a:registry=https://${NPM_TOKEN}.evil.example/',
    'registry=https://user:word@evil.example/',
    'registry=http://169.254.169.254/',
    'registry=file:///etc/',
    'registry[]=https://evil.example/',
    'registry=https://evil.example/ ; git=./evil.sh',
    '__proto__=https://evil.example/',
  ]) {
    assert.equal(registriesIn(`${line}\n`), '', line)
  }
})

test('a link in the place of the file is removed and not followed', async t => {
  const folder = await mkdtemp(join(tmpdir(), 'maestro-npmrc-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const own = join(folder, 'own')
  await writeFile(own, 'registry=https://npm.example.com/\n')
  await symlink(own, join(folder, '.npmrc'))
  await keepRegistries(folder)
  await assert.rejects(stat(join(folder, '.npmrc')))
  assert.equal(await readFile(own, 'utf8'), 'registry=https://npm.example.com/\n')
})
