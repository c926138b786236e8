import { fileURLToPath } from 'node:url'
import type { DriverCheck } from '../sandbox.ts'

/** Where drivers with guests are tested. Images and snapshots stay from one run to the next: they are named by what they are made of. */
export const guestPlace = {
  data: fileURLToPath(new URL('../../../../../node_modules/.cache/maestro-microvm', import.meta.url)),
  path: process.env['PATH'] ?? '',
}

/** Builds the image that is missing and says whether the driver can be tested here, with the reason where not. Closes it. */
export async function tryGuestDriver(driver: {
  prepare(): Promise<unknown>
  check(): Promise<DriverCheck>
  close(): Promise<void>
}): Promise<{ usable: boolean; detail: string }> {
  const built = await driver.prepare().then(
    () => '',
    cause => String(cause),
  )
  const { usable, detail } = await driver.check()
  await driver.close()
  return { usable, detail: `${built} ${detail}`.trim() }
}
