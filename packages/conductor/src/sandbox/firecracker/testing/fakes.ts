/** A machine that has a Firecracker: programs and a guest image that stand in for the real ones, on disk as those would be. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { World } from '../../../world.ts'
import type { GuestImage } from '../../guest/image/guest-image.ts'
import type { Place } from '../check.ts'
import { FirecrackerDriver, type FirecrackerOptions } from '../firecracker.ts'
import type { Programs } from '../jailer.ts'

export interface Fakes {
  programs: Programs
  image: GuestImage
  place: Place
  remove(): void
}

export function makeFakes(parent = tmpdir()): Fakes {
  const folder = mkdtempSync(join(parent, 'fake-firecracker-'))
  const script = (name: string, file: string): string => {
    const path = join(folder, name)
    writeFileSync(path, `#!/bin/sh\nexec ${process.execPath} ${fileURLToPath(new URL(file, import.meta.url))} "$@"\n`)
    chmodSync(path, 0o755)
    return path
  }
  const file = (name: string, text: string): string => {
    const path = join(folder, name)
    writeFileSync(path, text, 'latin1')
    return path
  }
  return {
    programs: { firecracker: script('firecracker', './fake-firecracker.ts'), jailer: script('jailer', './fake-jailer.ts') },
    place: { data: join(folder, 'data'), path: '/usr/sbin:/usr/bin:/sbin:/bin' },
    image: {
      ...{
        digest: 'stand-in',
        folder,
        builtAt: 0,
        current: true,
        parts: { recipe: '', node: process.version, kernel: '', packages: {} },
      },
      kernel: file('kernel', '\x7fELF and no more'),
      initramfs: file('initramfs', 'nothing'),
      root: file('root', JSON.stringify({ node: process.execPath })),
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}

export function fakeDriver({ programs, image, place }: Fakes, world: World, options: FirecrackerOptions = {}): FirecrackerDriver {
  const find = () => Promise.resolve({ usable: true as const, programs, version: '1.16.1', image, detail: 'stand-ins' })
  return new FirecrackerDriver(world, place, { find, cgroups: null, ...options })
}
