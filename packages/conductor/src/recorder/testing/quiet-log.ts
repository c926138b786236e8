import type { Log } from '../../telemetry/log.ts'

export const quietLog: Log = { info() {}, warn() {}, error() {}, with: () => quietLog }
