import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from './run.ts'

/** Installs an npm package into `folder` without its scripts and returns the path of its (first) program. */
export async function installedProgram(folder: string, spec: string): Promise<string> {
  const args = ['install', '--prefix', folder, '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel', 'error', spec]
  const { code, stderr } = await run('npm', args, { timeoutMs: 180_000 })
  if (code !== 0) throw new Error(`npm install ${spec} exited with ${code}: ${stderr}`)
  const name = spec.slice(0, spec.lastIndexOf('@'))
  const home = join(folder, 'node_modules', name)
  const { bin } = JSON.parse(await readFile(join(home, 'package.json'), 'utf8')) as { bin: string | Record<string, string> }
  return join(home, typeof bin === 'string' ? bin : Object.values(bin)[0]!)
}
