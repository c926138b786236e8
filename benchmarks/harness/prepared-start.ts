import type { Start } from '@maestro/contract'
import type { RunningConductor } from '../../tests/e2e/support/conductor.ts'
import { eventually } from '../../tests/e2e/support/eventually.ts'

/** A deployment goes live with the plain start; what is measured is what it settles on. Null where nothing is prepared. */
export async function preparedStart(conductor: RunningConductor, deployment: string): Promise<Start | null> {
  const { start } = await eventually(
    'its start is prepared',
    async () => {
      const found = await conductor.api('getDeployment', { params: { id: deployment } })
      return found.start?.state !== 'preparing' && found
    },
    300_000,
  )
  return start ?? null
}
