import { listImages } from '@maestro/conductor'
import { command, jsonFlag } from '../command.ts'
import { dataFolderOf } from '../find-conductor.ts'
import { ago } from '../format.ts'

export default command({
  name: 'image',
  summary: 'List the images that microVM guests boot',
  description: 'Needs no running Conductor. An image of another Conductor or Node is kept and not used.',
  flags: jsonFlag,
  examples: ['maestro image', 'maestro image --json'],
  async run({ out, data, environment, cwd }, { flags }) {
    const images = listImages(await dataFolderOf({ data, environment, cwd }))
    const rows = images.map(({ digest, folder, builtAt, current, parts: { kernel, node } }) => ({
      digest,
      current,
      kernel,
      node,
      builtAt,
      folder,
    }))
    const now = Date.now()
    out.rows(
      rows,
      [
        { title: 'IMAGE', text: row => row.digest },
        { title: 'CURRENT', text: row => (row.current ? 'yes' : 'no') },
        { title: 'KERNEL', text: row => row.kernel },
        { title: 'NODE', text: row => row.node },
        { title: 'BUILT', text: row => ago(row.builtAt, now) },
      ],
      { json: flags.json, empty: 'There are no images. Build one with `maestro image build`.' },
    )
    return 0
  },
})
