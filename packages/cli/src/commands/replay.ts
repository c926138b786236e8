import { ConductorError, type ErrorCode, errorTable } from '@maestro/contract'
import { command } from '../command.ts'
import { withProgress } from '../progress.ts'
import { isTapeFile, readTape } from '../read-tape.ts'
import { replayText } from '../replay-text.ts'

export default command({
  name: 'replay',
  summary: 'Run a recorded session again and compare',
  description:
    'Starts a fresh sandbox of the same release, sends it what the client sent, and compares every answer.\nExit code 0: identical. 3: diverged. 1: it could not be replayed.',
  arguments: [{ name: 'session', summary: 'Session id', noun: 'session' }],
  flags: { json: { summary: 'Print the verdict as JSON' } },
  examples: ['maestro replay ses_…', 'maestro replay ses_… --json'],
  async run(context, { arguments: [word = ''], flags }) {
    const { out, client, signal } = context
    if (isTapeFile(word)) {
      const { header } = await readTape(word, context)
      throw new ConductorError(
        'replay_impossible',
        `${word} holds the session, but not its server: run \`maestro replay ${header.session}\` where the session was recorded. \`maestro session show ${word}\` works here.`,
      )
    }
    const conductor = await client()
    const replay = await withProgress(out, `Replaying ${word}`, () =>
      conductor.call('replaySession', { params: { id: word } }, signal),
    )
    if (flags.json) out.json(replay)
    if (replay.state === 'failed') {
      const code = replay.error?.code
      const isKnown = code !== undefined && Object.hasOwn(errorTable, code)
      throw new ConductorError(isKnown ? (code as ErrorCode) : 'replay_impossible', replay.error?.message ?? 'The replay failed.')
    }
    if (!flags.json) for (const line of replayText(replay, out)) out.line(line)
    return replay.identical ? 0 : 3
  },
})
