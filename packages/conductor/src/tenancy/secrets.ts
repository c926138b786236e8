/** Secrets of a tenant: sealed under the tenant's key, which is wrapped by the root key. A stolen database reveals nothing. */
import { ConductorError, type EnvValue, type Secret, type TenantId } from '@maestro/contract'
import type { Store, TenantKeyStore } from '../store/store.ts'
import type { World } from '../world.ts'
import { readKeyFile } from './key-file.ts'
import { xaesKeyBytes, xaesNonceBytes, xaesOpen, xaesSeal } from './xaes-256-gcm.ts'

export interface Secrets {
  set(tenant: TenantId, name: string, value: string): Promise<Secret>
  /** Names, never values. */
  list(tenant: TenantId): Promise<Secret[]>
  /** Whether there was one. */
  remove(tenant: TenantId, name: string): Promise<boolean>
  /** The environment with the secrets put in. Throws `secret_not_found` with the name, `config_invalid` where a value cannot be opened. */
  resolve(tenant: TenantId, env: Readonly<Record<string, EnvValue>>): Promise<Record<string, string>>
}

/** First byte of everything sealed: how it was sealed. */
const version = 1

/** Reads the root key (made on the first start). Throws `config_invalid` where the file holds something else. */
export function createSecrets(deps: {
  store: Pick<Store, 'putSecret' | 'listSecrets' | 'removeSecret'> & TenantKeyStore
  rootKeyFile: string
  world: World
}): Secrets {
  const { store, rootKeyFile, world } = deps
  const rootKey = readKeyFile(rootKeyFile, world)
  const tenantKeys = new Map<TenantId, Buffer>()

  const seal = (key: Uint8Array, plaintext: Uint8Array, aad: Buffer): Buffer => {
    const nonce = world.randomBytes(xaesNonceBytes)
    return Buffer.concat([Buffer.from([version]), nonce, xaesSeal(key, nonce, plaintext, aad)])
  }

  const findTenantKey = async (tenant: TenantId): Promise<Buffer | null> => {
    const known = tenantKeys.get(tenant)
    if (known) return known
    const wrapped = await store.findTenantKey(tenant)
    if (!wrapped) return null
    const key = open(rootKey, wrapped, aadOf('tenant-key', tenant))
    if (!key) {
      throw new ConductorError(
        'config_invalid',
        `The root key in ${rootKeyFile} is not the one that wrapped the key of tenant ${tenant}. Bring the old key file back.`,
        { tenant },
      )
    }
    tenantKeys.set(tenant, key)
    return key
  }

  const needTenantKey = async (tenant: TenantId): Promise<Buffer> => {
    const found = await findTenantKey(tenant)
    if (found) return found
    await store.insertTenantKey(tenant, seal(rootKey, world.randomBytes(xaesKeyBytes), aadOf('tenant-key', tenant)), world.now())
    // Read back: another Conductor's key may have been the first.
    return needTenantKey(tenant)
  }

  return {
    set: async (tenant, name, value) => {
      const key = await needTenantKey(tenant)
      const updatedAt = world.now()
      await store.putSecret(tenant, { name, sealed: seal(key, Buffer.from(value), aadOf('secret', tenant, name)), updatedAt })
      return { name, updatedAt }
    },
    list: async tenant => (await store.listSecrets(tenant)).map(({ name, updatedAt }) => ({ name, updatedAt })),
    remove: (tenant, name) => store.removeSecret(tenant, name),
    resolve: async (tenant, env) => {
      const named = Object.values(env).some(value => 'secret' in value)
      const rows = new Map(named ? (await store.listSecrets(tenant)).map(row => [row.name, row]) : [])
      const key = rows.size > 0 ? await findTenantKey(tenant) : null
      const resolved: Record<string, string> = {}
      for (const [variable, value] of Object.entries(env)) {
        if ('value' in value) {
          resolved[variable] = value.value
          continue
        }
        const row = rows.get(value.secret)
        if (!row || !key) {
          throw new ConductorError('secret_not_found', `There is no secret ${value.secret}, which ${variable} needs.`, {
            secret: value.secret,
          })
        }
        const plaintext = open(key, row.sealed, aadOf('secret', tenant, row.name))
        if (!plaintext) {
          throw new ConductorError('config_invalid', `The secret ${row.name} was altered in the database. Set it again.`, {
            secret: row.name,
          })
        }
        resolved[variable] = plaintext.toString('utf8')
      }
      return resolved
    },
  }
}

function open(key: Uint8Array, sealed: Uint8Array, aad: Buffer): Buffer | null {
  if (sealed[0] !== version || sealed.length < 1 + xaesNonceBytes) return null
  return xaesOpen(key, sealed.subarray(1, 1 + xaesNonceBytes), sealed.subarray(1 + xaesNonceBytes), aad)
}

/** What a sealed value is and whose: it opens nowhere else. No part holds `|`, so no two kinds or names share an encoding. */
function aadOf(kind: 'tenant-key' | 'secret', tenant: TenantId, name = ''): Buffer {
  return Buffer.from([tenant, kind, name, version].join('|'))
}
