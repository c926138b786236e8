import type { RecordingHeader, SessionId } from '@maestro/contract'

export const headerFor = (session: SessionId): RecordingHeader =>
  ({
    session,
    tenant: 'ten_00000000000000local0',
    deployment: 'dep_00000000000000000002',
    deploymentName: 'test',
    release: 'rel_00000000000000000003',
    releaseName: 'test',
    releaseVersion: '1.0.0',
    digest: 'sha256:test',
    era: 'session',
    driver: 'process',
    sandbox: null,
    args: [],
    envNames: [],
    egress: [],
    runtime: null,
    conductorVersion: '',
    openedAt: 1_780_000_000_000,
  }) as unknown as RecordingHeader
