import { buildImage, readConfig, realWorld } from '@maestro/conductor'
import { command, jsonFlag } from '../command.ts'
import { dataFolderOf } from '../find-conductor.ts'

const silent = { info() {}, warn() {}, error() {}, with: () => silent }

export default command({
  name: 'image build',
  summary: 'Build the image that microVM guests boot',
  description:
    'From Debian packages, which apt-get fetches and checks; needs neither Docker nor root. Builds the same packages once. Needs no running Conductor.',
  flags: jsonFlag,
  examples: ['maestro image build', 'maestro image build --json'],
  async run({ out, data, environment, cwd }, { flags }) {
    const config = readConfig({ data: await dataFolderOf({ data, environment, cwd }) })
    const { digest, folder, parts } = await buildImage(config, realWorld(silent), step => out.note(`${step} …`))
    if (flags.json !== undefined) out.json({ digest, folder, kernel: parts.kernel, node: parts.node })
    else out.line(`${digest}  kernel ${parts.kernel}, Node ${parts.node}`)
    return 0
  },
})
