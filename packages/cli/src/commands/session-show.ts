import { exchangesOf, oneLine } from '@maestro/logic'
import { command } from '../command.ts'
import { readTape } from '../read-tape.ts'
import { recordingText } from '../recording-text.ts'
import { visible } from '../visible.ts'

const newline = Buffer.from('\n')

export default command({
  name: 'session show',
  summary: 'Show what a session said and did',
  description:
    'A row per request with its answer, time and size; what the server said meanwhile stands below it. A recording file is read with no Conductor running.',
  arguments: [{ name: 'session', summary: 'Session id, or a .mcrec file', noun: 'session' }],
  flags: {
    raw: { summary: 'Print the frames as they crossed, one per line' },
    json: { summary: 'Print the rows as JSON' },
  },
  examples: ['maestro session show ses_…', 'maestro session show ses_… --raw', 'maestro session show ./copy.mcrec --json'],
  async run(context, { arguments: [word = ''], flags }) {
    const { out } = context
    const recording = await readTape(word, context)
    if (flags.raw) {
      for (const record of recording.records) {
        if (record.kind !== 'frame') continue
        const frame = Buffer.from(oneLine(record.bytes))
        if (out.isTerminal) out.line(`${record.direction === 'inward' ? '→' : '←'} ${visible(frame.toString('utf8'))}`)
        else await out.raw(Buffer.concat([frame, newline]))
      }
      return
    }
    if (flags.json) {
      const { header, end, complete, tornBytes, damage } = recording
      return void out.json({ header, end, complete, tornBytes, damage, rows: exchangesOf(recording) })
    }
    for (const line of recordingText(recording, out)) out.line(line)
  },
})
