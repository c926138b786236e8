const passed = new Set([
  'PATH',
  'HOME',
  'USERPROFILE',
  'APPDATA',
  'LOCALAPPDATA',
  'SYSTEMROOT',
  'COMSPEC',
  'TMPDIR',
  'TEMP',
  'TMP',
  'LANG',
  'LC_ALL',
  'XDG_CONFIG_HOME',
  'XDG_CACHE_HOME',
  'HTTP_PROXY',
  'HTTPS_PROXY',
  'ALL_PROXY',
  'NO_PROXY',
  'NODE_EXTRA_CA_CERTS',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
  'NPM_TOKEN',
  'NODE_AUTH_TOKEN',
])

// `npm start` leaves its own project in the environment; an install must not end up there.
const ofAnotherProject =
  /^npm_config_(local_prefix|prefix|global|location|workspace|workspaces|dry_run|node_options|omit|include)$/i

/**
 * What the npm child may see: enough to find the person's registry, proxy and cache, and nothing of Conductor's own secrets,
 * which an install script (where the person allowed them) could otherwise read.
 */
export function npmEnvironment(environment: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const kept: Record<string, string> = {}
  for (const [name, value] of Object.entries(environment)) {
    if (value === undefined) continue
    const isSetting = /^npm_config_/i.test(name) && !ofAnotherProject.test(name)
    if (isSetting || passed.has(name.toUpperCase())) kept[name] = value
  }
  return kept
}
