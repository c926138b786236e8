import { spawn } from 'node:child_process'
import { command } from '../command.ts'

export default command({
  name: 'open',
  summary: 'Open the console',
  description:
    'Prints the console’s URL with the key that signs you in, and opens it in a browser where there is a terminal. Keep the URL to yourself.',
  flags: { print: { summary: 'Only print the URL' } },
  examples: ['maestro open', 'maestro open --print'],
  async run({ out, client, environment }, { flags }) {
    const conductor = await client()
    const { consoleUrl } = await conductor.call('getStatus', {})
    const url = `${consoleUrl}#key=${conductor.at.operatorKey}`
    out.line(url)
    const hasScreen = process.platform !== 'linux' || Boolean(environment['DISPLAY'] || environment['WAYLAND_DISPLAY'])
    if (flags.print || !out.isTerminal || !hasScreen) return
    const program = process.platform === 'darwin' ? 'open' : 'xdg-open'
    spawn(program, [url], { detached: true, stdio: 'ignore' })
      .on('error', () => out.note('No browser could be opened; use the URL above.'))
      .unref()
  },
})
