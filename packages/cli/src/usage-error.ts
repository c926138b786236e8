/** The command line was wrong: exit code 2. */
export class UsageError extends Error {
  readonly hint: string

  constructor(message: string, hint = 'See `maestro help`.') {
    super(message)
    this.hint = hint
  }
}
