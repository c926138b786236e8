import { fileURLToPath } from 'node:url'
import { quietWorld } from '../../testing/specimen.ts'
import { MicrovmDriver, type MicrovmPlace } from '../microvm.ts'

/** Where microVMs are tested, and whether they can be. Images and snapshots stay from one run to the next: they are named by what they are made of. */
export async function findTestPlace(): Promise<{ place: MicrovmPlace; usable: boolean; detail: string }> {
  const data = fileURLToPath(new URL('../../../../../../node_modules/.cache/maestro-microvm', import.meta.url))
  const place = { data, path: process.env['PATH'] ?? '' }
  const trial = new MicrovmDriver(quietWorld(), place)
  const built = await trial.prepare().then(
    () => '',
    cause => String(cause),
  )
  const { usable, detail } = await trial.check()
  await trial.close()
  return { place, usable, detail: `${built} ${detail}`.trim() }
}
