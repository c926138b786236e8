/** Every setting: name, default, meaning. The only reader of `process.env`. Precedence: flag, environment, default. */
import { totalmem } from 'node:os'
import { resolve } from 'node:path'
import { ConductorError, type Limits } from '@maestro/contract'
import { isAddressRange } from './sandbox/egress/addresses.ts'
import type { EgressLimits } from './sandbox/egress/egress-limits.ts'
import type { SandboxLimits } from './sandbox/sandbox.ts'

interface Setting<T> {
  /** Environment variable. */
  env: string
  /** Command-line flag, where there is one. */
  flag?: string
  meaning: string
  default: T
  parse(text: string): T
}

const text = (env: string, fallback: string, meaning: string, flag?: string): Setting<string> => ({
  env,
  meaning,
  default: fallback,
  parse: value => value,
  ...(flag ? { flag } : {}),
})
const list = (env: string, meaning: string): Setting<string[]> => ({
  env,
  meaning,
  default: [],
  parse: value =>
    value
      .split(',')
      .map(part => part.trim())
      .filter(Boolean),
})
const ranges = (env: string, meaning: string): Setting<string[]> => {
  const setting = list(env, meaning)
  return {
    ...setting,
    parse: value => {
      const texts = setting.parse(value)
      const wrong = texts.find(text => !isAddressRange(text))
      if (wrong === undefined) return texts
      throw new ConductorError(
        'config_invalid',
        `${env} must be addresses or ranges such as 10.0.0.0/8, not ${JSON.stringify(wrong)}.`,
      )
    },
  }
}
const integer = (env: string, fallback: number, min: number, max: number, meaning: string, flag?: string): Setting<number> => ({
  env,
  meaning,
  default: fallback,
  parse: value => {
    const number = Number(value)
    if (!Number.isInteger(number) || number < min || number > max) {
      throw new ConductorError(
        'config_invalid',
        `${env} must be a whole number from ${min} to ${max}, not ${JSON.stringify(value)}.`,
      )
    }
    return number
  },
  ...(flag ? { flag } : {}),
})
const choice = <T extends string>(env: string, fallback: T, options: readonly T[], meaning: string): Setting<T> => ({
  env,
  meaning,
  default: fallback,
  parse: value => {
    if (!options.includes(value as T))
      throw new ConductorError('config_invalid', `${env} must be one of ${options.join(', ')}, not ${JSON.stringify(value)}.`)
    return value as T
  },
})

const MiB = 1024 * 1024

export const settings = {
  port: integer('MAESTRO_PORT', 8460, 0, 65_535, 'Port to listen on; 0 takes any free one.', 'port'),
  host: text('MAESTRO_HOST', '127.0.0.1', 'Address to listen on.'),
  data: text('MAESTRO_DATA', '.maestro', 'Folder for the database, bundles, recordings and keys.', 'data'),
  databaseUrl: text('DATABASE_URL', '', 'PostgreSQL ≥ 15 to use instead of one of our own.'),
  database: choice(
    'MAESTRO_DATABASE',
    'auto',
    ['auto', 'system', 'embedded'] as const,
    'Without DATABASE_URL: which PostgreSQL to run. auto takes a system one ≥ 15, then the embedded one; a data folder keeps what made it.',
  ),
  path: text('PATH', '/usr/local/bin:/usr/bin:/bin', 'Folders in which programs such as PostgreSQL are looked for.'),
  driver: choice(
    'MAESTRO_DRIVER',
    'auto',
    ['auto', 'bubblewrap', 'gvisor', 'microvm', 'firecracker', 'process'] as const,
    'Sandbox driver. auto takes bubblewrap on Linux, and process elsewhere; gvisor gives each server a kernel of its own, microvm and firecracker a virtual machine; process isolates nothing and must be asked for.',
  ),
  egressPrivate: ranges(
    'MAESTRO_EGRESS_PRIVATE',
    'Dangerous: private addresses and ranges (10.1.2.3, 10.0.0.0/8) that servers may reach where their --egress names them too. Metadata services stay shut unless their very address is named.',
  ),
  egressUpMiBMax: integer('MAESTRO_EGRESS_UP_MIB', 1024, 1, 1024 * 1024, 'What one sandbox may send to the network, MiB.'),
  egressDownMiBMax: integer(
    'MAESTRO_EGRESS_DOWN_MIB',
    4096,
    1,
    1024 * 1024,
    'What one sandbox may receive from the network, MiB.',
  ),
  egressConnectionsMax: integer(
    'MAESTRO_EGRESS_CONNECTIONS',
    128,
    1,
    10_000,
    'Connections to the network of one sandbox at a time.',
  ),
  egressConnectionsTotalMax: integer(
    'MAESTRO_EGRESS_CONNECTIONS_TOTAL',
    10_000,
    1,
    1_000_000,
    'Connections to the network of one sandbox in all, refused ones counted.',
  ),
  egressConnectionsPerSecond: integer(
    'MAESTRO_EGRESS_CONNECTIONS_PER_SECOND',
    50,
    1,
    10_000,
    'Connections to the network of one sandbox a second; four seconds’ worth may come at once.',
  ),
  egressIdleMs: integer(
    'MAESTRO_EGRESS_IDLE_MS',
    5 * 60_000,
    100,
    86_400_000,
    'A connection to the network over which nothing went for so long is ended.',
  ),
  egressLifeMs: integer(
    'MAESTRO_EGRESS_LIFE_MS',
    6 * 3_600_000,
    1000,
    7 * 86_400_000,
    'A connection to the network that lasts longer is ended.',
  ),
  egressHeadBytesMax: integer(
    'MAESTRO_EGRESS_HEAD_BYTES',
    32 * 1024,
    1024,
    1024 * 1024,
    'Head of a request or answer at the egress proxy, bytes.',
  ),
  egressHeadMsMax: integer(
    'MAESTRO_EGRESS_HEAD_MS',
    10_000,
    100,
    600_000,
    'How long the head of a request at the egress proxy, or the first bytes of a tunnel, may take to arrive.',
  ),
  sandboxesMax: integer('MAESTRO_SANDBOXES_MAX', 64, 1, 10_000, 'Sandboxes that may exist at once.'),
  warmAtFirst: integer(
    'MAESTRO_WARM',
    2,
    0,
    100,
    'Warm sandboxes for a release in its first quarter of an hour; afterwards its use decides. 0 starts none ahead of demand, ever.',
  ),
  poolMemoryMiBMax: integer(
    'MAESTRO_POOL_MEMORY_MIB',
    0,
    0,
    16_777_216,
    'Memory that all sandboxes should take, MiB; warm ones give way to leased ones. 0 means half of the machine’s.',
  ),
  fastStart: choice(
    'MAESTRO_FAST_START',
    'on',
    ['on', 'off'] as const,
    'Prepare faster starts of Node servers after they are deployed, and use those that behave as the plain one.',
  ),
  memoryMiBMax: integer('MAESTRO_SANDBOX_MEMORY_MIB', 512, 16, 65_536, 'Memory of one sandbox, MiB.'),
  pidsMax: integer('MAESTRO_SANDBOX_PIDS', 128, 4, 32_768, 'Processes and threads of one sandbox.'),
  diskMiBMax: integer(
    'MAESTRO_SANDBOX_DISK_MIB',
    256,
    1,
    65_536,
    'Private working folder, /tmp and shared memory of one sandbox, MiB.',
  ),
  memoryMiBCeiling: integer(
    'MAESTRO_SANDBOX_MEMORY_MIB_MAX',
    2048,
    16,
    65_536,
    'The most memory a deployment may ask for its sandboxes, MiB.',
  ),
  pidsCeiling: integer(
    'MAESTRO_SANDBOX_PIDS_MAX',
    1024,
    4,
    32_768,
    'The most processes and threads a deployment may ask for its sandboxes.',
  ),
  diskMiBCeiling: integer(
    'MAESTRO_SANDBOX_DISK_MIB_MAX',
    2048,
    1,
    65_536,
    'The most disk a deployment may ask for its sandboxes, MiB.',
  ),
  frameBytesMax: integer('MAESTRO_FRAME_BYTES_MAX', 4 * MiB, 1024, 256 * MiB, 'Largest frame in either direction, bytes.'),
  sessionIdleMs: integer(
    'MAESTRO_SESSION_IDLE_MS',
    30 * 60_000,
    1_000,
    7 * 86_400_000,
    'A session with no frame for so long is ended.',
  ),
  hibernateIdleMs: integer(
    'MAESTRO_HIBERNATE_IDLE_MS',
    60_000,
    0,
    7 * 86_400_000,
    'A session with no frame for so long gives its sandbox back, where another can be brought to the same state from the tape; 0 never.',
  ),
  sessionsPerCallerMax: integer(
    'MAESTRO_SESSIONS_PER_CALLER_MAX',
    48,
    1,
    10_000,
    'Sessions that one subject may have on one deployment at a time, so that places are left for others.',
  ),
  recordingMiBMax: integer(
    'MAESTRO_RECORDING_MIB_MAX',
    1024,
    1,
    2000,
    'A session whose messages come to more than this is ended, so that no server can fill the disk, MiB.',
  ),
  initializeMsMax: integer('MAESTRO_INITIALIZE_MS_MAX', 30_000, 100, 600_000, 'How long a server may take to answer initialize.'),
  drainMsMax: integer('MAESTRO_DRAIN_MS_MAX', 5_000, 0, 600_000, 'How long open calls may take to end on shutdown.'),
  origins: list('MAESTRO_ORIGINS', 'Web origins that may call, beside our own.'),
  hosts: list('MAESTRO_HOSTS', 'Host names by which clients may reach us, beside localhost and the listening address.'),
  logFormat: choice(
    'MAESTRO_LOG',
    'auto',
    ['auto', 'json', 'text', 'off'] as const,
    'Log on standard error: JSON lines, aligned text, or text on a terminal and JSON elsewhere.',
  ),
  otlpEndpoint: text('OTEL_EXPORTER_OTLP_ENDPOINT', '', 'OTLP/HTTP collector for traces and metrics; empty exports nothing.'),
} satisfies Record<string, Setting<unknown>>

export type Config = { [K in keyof typeof settings]: (typeof settings)[K] extends Setting<infer T> ? T : never }

/**
 * Reads the settings. `flags` are those given on the command line, by flag name.
 * Throws `config_invalid` for a bad value and for an unknown MAESTRO_… variable.
 */
export function readConfig(
  flags: Readonly<Record<string, string | undefined>> = {},
  env: NodeJS.ProcessEnv = process.env,
): Config {
  const known = new Set<string>(Object.values(settings).map(setting => setting.env))
  for (const name of Object.keys(env)) {
    if (name.startsWith('MAESTRO_') && !known.has(name)) {
      throw new ConductorError('config_invalid', `${name} is not a setting.${closest(name, known)}`)
    }
  }
  const values: Record<string, unknown> = {}
  for (const [key, setting] of Object.entries(settings) as [string, Setting<unknown>][]) {
    const given = (setting.flag ? flags[setting.flag] : undefined) ?? env[setting.env]
    values[key] = given === undefined || given === '' ? setting.default : setting.parse(given)
  }
  const config = values as Config
  return { ...config, data: resolve(config.data) }
}

/** What one sandbox may use under these settings, with what its deployment asks for. */
export const sandboxLimits = (config: Config, asked: Limits = {}): SandboxLimits => ({
  memoryBytesMax: (asked.memoryMiB ?? config.memoryMiBMax) * MiB,
  pidsMax: asked.pids ?? config.pidsMax,
  cpusMax: 1,
  diskBytesMax: (asked.diskMiB ?? config.diskMiBMax) * MiB,
  lineBytesMax: config.frameBytesMax,
})

/** What one sandbox may do with the network under these settings. */
export const egressLimits = (config: Config): EgressLimits => ({
  upBytesMax: config.egressUpMiBMax * MiB,
  downBytesMax: config.egressDownMiBMax * MiB,
  connectionsMax: config.egressConnectionsMax,
  connectionsTotalMax: config.egressConnectionsTotalMax,
  connectionsPerSecond: config.egressConnectionsPerSecond,
  idleMsMax: config.egressIdleMs,
  lifeMsMax: config.egressLifeMs,
  headBytesMax: config.egressHeadBytesMax,
  headMsMax: config.egressHeadMsMax,
})

/** What all sandboxes should take, bytes. */
export const poolMemoryBytesMax = (config: Config): number =>
  config.poolMemoryMiBMax > 0 ? config.poolMemoryMiBMax * MiB : Math.floor(machineMemoryBytes() / 2)

/** What we may use: of the machine, or of the container we are in. */
const machineMemoryBytes = (): number => Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY)

function closest(name: string, known: ReadonlySet<string>): string {
  const near = [...known].find(candidate => candidate.startsWith(name.slice(0, 11)) || name.startsWith(candidate))
  return near ? ` Did you mean ${near}?` : ''
}

/** What npm inherits from whoever started us: proxy, certificates, registry. The installer keeps what npm needs and drops the rest. */
export const inheritedEnvironment = (): Readonly<Record<string, string | undefined>> => process.env
