import type { RunningConductor } from '@maestro/conductor'

const source = '@modelcontextprotocol/server-everything'
const name = 'everything'

/**
 * Deploys a server to try things with, where nothing is deployed yet. Conductor is of use without it, so a failure
 * (most often: no network) is told and not thrown.
 */
export async function deployFirstServer(conductor: RunningConductor, note: (text: string) => void): Promise<void> {
  if ((await conductor.deployments()).length > 0) return
  note(`Deploying a first server, ${source} …`)
  try {
    await conductor.deploy({ source, name })
  } catch (error) {
    note(`The first server could not be deployed: ${error instanceof Error ? error.message : String(error)}`)
    note(`Conductor runs without it. Later: maestro deploy ${source} --name ${name}`)
  }
}
