import { lstat, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * Leaves of a staged folder's `.npmrc` what says where packages come from, and nothing else. The file is untrusted, and npm runs
 * outside every sandbox: `git=` and `script-shell=` name programs it starts, and `${NPM_TOKEN}` in a URL sends the person's token
 * wherever the folder says. Credentials come from the person's own configuration, where they are bound to a host.
 */
export async function keepRegistries(folder: string): Promise<void> {
  const file = join(folder, '.npmrc')
  const isFile = (await lstat(file).catch(() => null))?.isFile() === true
  const kept = isFile ? registriesIn(await readFile(file, 'utf8')) : ''
  // Made anew rather than written over: a link would lead the writing elsewhere.
  await rm(file, { force: true, recursive: true })
  if (kept !== '') await writeFile(file, kept)
}

/** `registry` and `@scope:registry` with an https URL that is written out. */
export function registriesIn(npmrc: string): string {
  const lines = npmrc.split(/\r?\n/).flatMap(line => {
    const [, name = '', value = ''] =
      /^\s*((?:@[a-z0-9~-][a-z0-9._~-]*:)?registry)\s*=\s*["']?(https:\/\/[^\s"'$\\;#]+)["']?\s*$/.exec(line) ?? []
    const url = URL.parse(value)
    return url && !url.username && !url.password ? [`${name}=${url.href}\n`] : []
  })
  return lines.join('')
}
