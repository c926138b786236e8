import { chmod, copyFile, cp, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { etcFiles } from '../../etc.ts'
import { insideEgress, insideHome } from '../../inside.ts'

/** Programs of busybox by which servers and their libraries get along: a shell and what scripts expect. */
const busyboxPrograms =
  `[ awk base64 basename cat chmod cp cut date dd df dirname du echo env expr false find getopt grep gunzip gzip head hostname
  id kill less ln ls md5sum mkdir mktemp mount mv nohup od printenv printf ps pwd readlink realpath rm rmdir sed seq setsid sh sha256sum sleep
  sort stat stty sync tail tar tee test timeout touch tr true tty uname uniq unshare unzip vi wc which whoami xargs yes`.split(
    /\s+/,
  )

/** Nothing of these is ever looked at in there. */
const needless = [
  'usr/share/doc',
  'usr/share/man',
  'usr/share/info',
  'usr/share/lintian',
  'usr/share/locale',
  'usr/share/bug',
  'var',
  'opt',
  'srv',
  'sys',
]

/** Turns unpacked packages into the root a server sees: the same paths as in a bubblewrap sandbox. */
export async function finishRoot(folder: string, node: string, files: ReadonlyMap<string, string>): Promise<void> {
  for (const path of [...needless, 'etc', 'root', 'home']) await rm(join(folder, path), { recursive: true, force: true })
  await mergeIntoUsr(folder)
  for (const path of ['proc', 'dev', 'tmp', 'bundle', 'prepared', 'etc/ssl/certs', 'run/maestro/session', insideHome]) {
    await mkdir(join(folder, path), { recursive: true })
  }
  for (const [name, text] of Object.entries(etcFiles)) await writeFile(join(folder, 'etc', name), text)
  await writeFile(join(folder, 'etc/ssl/certs/ca-certificates.crt'), await certificatesOf(folder))
  for (const name of busyboxPrograms) await linkUnlessThere('busybox', join(folder, 'usr/bin', name))
  await linkUnlessThere('python3', join(folder, 'usr/bin/python'))
  // What is a session's own the agent puts into that folder; nothing is there without it.
  await symlink('session/egress-ca.pem', join(folder, insideEgress.ca))
  await copyFile(node, join(folder, 'run/maestro/node'))
  await chmod(join(folder, 'run/maestro/node'), 0o755)
  for (const [name, from] of files) {
    await copyFile(from, join(folder, 'run/maestro', name))
    await chmod(join(folder, 'run/maestro', name), 0o644)
  }
}

/** Debian packages still bring /bin, /lib and so on apart; the system that runs has links into /usr instead. */
async function mergeIntoUsr(folder: string): Promise<void> {
  for (const name of ['bin', 'sbin', 'lib', 'lib64']) {
    const source = join(folder, name)
    await mkdir(join(folder, 'usr', name), { recursive: true })
    await moveInto(source, join(folder, 'usr', name))
    await symlink(`usr/${name}`, source)
  }
}

async function moveInto(source: string, target: string): Promise<void> {
  await cp(source, target, { recursive: true, verbatimSymlinks: true, force: true }).catch(cause => {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause
  })
  await rm(source, { recursive: true, force: true })
}

async function certificatesOf(folder: string): Promise<string> {
  const from = join(folder, 'usr/share/ca-certificates/mozilla')
  const names = (await readdir(from)).filter(name => name.endsWith('.crt')).sort()
  return (await Promise.all(names.map(name => readFile(join(from, name), 'latin1')))).join('')
}

async function linkUnlessThere(target: string, path: string): Promise<void> {
  await symlink(target, path).catch(cause => {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause
  })
}
