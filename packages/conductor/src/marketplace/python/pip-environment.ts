import { npmEnvironment } from '../npm-environment.ts'

const passed = /^(CURL_CA_BUNDLE|REQUESTS_CA_BUNDLE|NETRC)$/i

// Where files land and what is run is ours to say; an index, a proxy, certificates and constraints are the person's.
const ofAnotherProject =
  /^PIP_(TARGET|PREFIX|ROOT|USER|SRC|EDITABLE|REQUIREMENT|REQUIRE_VIRTUALENV|PYTHON|PLATFORM|ABI|IMPLEMENTATION|PYTHON_VERSION|DRY_RUN|REPORT|NO_DEPS|NO_BINARY|ONLY_BINARY|NO_INPUT|QUIET|VERBOSE|LOG|LOG_FILE|IGNORE_REQUIRES_PYTHON|UPGRADE|PRE|GLOBAL_OPTION|BUILD_OPTION|CONFIG_SETTINGS?|NO_CLEAN|USE_FEATURE|USE_DEPRECATED|NO_BUILD_ISOLATION|USE_PEP517)$/i

/**
 * What the pip child may see: the person's index, proxy, certificates and cache, and nothing of Conductor's own secrets. pip reads its
 * configuration files by itself.
 */
export function pipEnvironment(environment: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const kept: Record<string, string> = {}
  for (const [name, value] of Object.entries(environment)) {
    if (value === undefined) continue
    if ((/^PIP_/i.test(name) && !ofAnotherProject.test(name)) || passed.test(name)) kept[name] = value
  }
  // The same paths, proxy and certificates as npm; its own settings and tokens are no business of pip's.
  for (const [name, value] of Object.entries(npmEnvironment(environment))) {
    if (!/^npm_config_|_TOKEN$/i.test(name)) kept[name] = value
  }
  return kept
}
