export { describeApi } from './api/openapi.ts'
export { type Config, readConfig, settings } from './config.ts'
export { type RunningConductor, startConductor } from './wire.ts'
