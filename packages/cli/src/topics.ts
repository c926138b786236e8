/** What `maestro help <topic>` explains beside commands. */
export const topics: Readonly<Record<string, () => Promise<string>>> = {
  'exit-codes': async () => `Exit codes

  0    done
  1    failed; the error says why
  2    wrong usage, or a configuration that cannot be read
  3    the replay diverged, or a stub was asked what was never recorded
  4    not signed in: a token or the operator key is missing, wrong or expired
  5    denied
  130  interrupted by Ctrl-C
`,
  config: async () => {
    const { settings } = await import('@maestro/conductor')
    const lines = Object.values(settings).map(setting => {
      const flag = 'flag' in setting && setting.flag ? `, --${setting.flag}` : ''
      const value = Array.isArray(setting.default) ? setting.default.join(',') : String(setting.default)
      return `  ${setting.env}${flag}\n      ${setting.meaning} Default: ${value === '' ? 'none' : value}.`
    })
    return `Settings of \`maestro up\`. A flag counts before the environment, the environment before the default.\n\n${lines.join('\n')}\n`
  },
}
