/** Tells a person how far it is; standard output is for the result alone. */
export const progress = (line: string): void => void process.stderr.write(`${line}\n`)
