/**
 * Variables by which a program can be led before its first line: by the dynamic linker, the C library or the shell. A deployment may set
 * them for its server, but not for the steps before that still are root.
 */
const leading = /^(LD_|GLIBC_|MALLOC_|GCONV_|LOCPATH|NLSPATH|RES_|BASH|ENV$|SHELLOPTS|PS4|IFS)/

const hidden = (name: string): string => `MAESTRO_LATE_${name}`

/** The environment for the steps before the server: what would lead them has another name. */
export function withoutLeading(environment: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(environment).map(([name, value]) => [leading.test(name) ? hidden(name) : name, value]))
}

/** What stands before the server's command so that it gets them under their own names; nothing where there are none. */
export function giveLeadingBack(environment: Readonly<Record<string, string>>): string[] {
  // Names of variables are identifiers, so they can stand in a script.
  const names = Object.keys(environment).filter(name => leading.test(name) && /^[A-Za-z_]\w*$/.test(name))
  if (names.length === 0) return []
  const restore = names.map(name => `${name}="$${hidden(name)}"; export ${name}; unset ${hidden(name)}`)
  return ['/bin/sh', '-c', `${restore.join('; ')}; exec "$@"`, 'maestro-late']
}
