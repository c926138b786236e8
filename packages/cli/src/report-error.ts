import { ConductorError, errorTable } from '@maestro/contract'
import { UsageError } from './usage-error.ts'
import { visible } from './visible.ts'

export interface ErrorReport {
  exitCode: number
  /** What happened, what to do, code and request id; a line each. */
  lines: string[]
}

/** What a person is told of an error, and the exit code. The stack only where it was asked for. */
export function reportError(error: unknown, debug: boolean): ErrorReport {
  const report = describe(error)
  const stack = debug && error instanceof Error ? [visible(error.stack ?? ''), ...causesOf(error)] : []
  return { exitCode: report.exitCode, lines: [...report.lines, ...stack] }
}

function describe(error: unknown): ErrorReport {
  if (error instanceof UsageError) {
    return { exitCode: 2, lines: [`maestro: ${visible(error.message)}`, `  hint: ${visible(error.hint)}`, '  code: usage'] }
  }
  if (error instanceof ConductorError) {
    const { exit, hint } = errorTable[error.code]
    const request = error.facts['request_id']
    return {
      exitCode: exit,
      lines: [
        `maestro: ${visible(error.message)}`,
        `  hint: ${hint}`,
        `  code: ${error.code}${request === undefined ? '' : `   request: ${visible(String(request))}`}`,
      ],
    }
  }
  const message = error instanceof Error ? error.message : String(error)
  return {
    exitCode: 1,
    lines: [
      `maestro: ${visible(message)}`,
      '  hint: This is our mistake. Run it again with --debug and report what it shows.',
      '  code: internal',
    ],
  }
}

function causesOf(error: Error): string[] {
  const { cause } = error
  return cause instanceof Error ? [`caused by ${visible(cause.stack ?? cause.message)}`, ...causesOf(cause)] : []
}
