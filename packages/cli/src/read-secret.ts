import { UsageError } from './usage-error.ts'

const bytesMax = 65_536

/** All of standard input without its last line break; on a terminal one line, typed unseen. Throws `UsageError` where it is empty. */
export async function readSecret(stdin: NodeJS.ReadStream, prompt: string, signal: AbortSignal): Promise<string> {
  const value = stdin.isTTY ? await typed(stdin, prompt, signal) : await piped(stdin)
  if (value === '') throw new UsageError('The secret is empty.', 'Pipe the value in: maestro secret set <name> < file')
  return value
}

async function piped(stdin: NodeJS.ReadStream): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of stdin) {
    bytes += (chunk as Buffer).length
    if (bytes > bytesMax + 2) throw new UsageError(`A secret has at most ${bytesMax} bytes.`)
    chunks.push(chunk as Buffer)
  }
  return Buffer.concat(chunks)
    .toString('utf8')
    .replace(/\r?\n$/, '')
}

function typed(stdin: NodeJS.ReadStream, prompt: string, signal: AbortSignal): Promise<string> {
  process.stderr.write(prompt)
  stdin.setRawMode(true).setEncoding('utf8').resume()
  return new Promise<string>((resolve, reject) => {
    let value = ''
    const end = (act: () => void) => {
      stdin.off('data', take)
      stdin.setRawMode(false).pause()
      process.stderr.write('\n')
      act()
    }
    const take = (keys: string) => {
      for (const key of keys) {
        if (key === '\r' || key === '\n' || key === '\u0004') return end(() => resolve(value))
        // In raw mode the terminal makes no signal of it.
        if (key === '\u0003') return end(() => process.kill(process.pid, 'SIGINT'))
        value = key === '\u007f' || key === '\b' ? value.slice(0, -1) : value + key
      }
    }
    stdin.on('data', take)
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}
