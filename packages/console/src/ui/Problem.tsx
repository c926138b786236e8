import type { ErrorCode } from '@maestro/contract'
import { CircleAlert } from 'lucide-react'
import { ApiError } from '../api/call.ts'
import { Copy } from './Copy.tsx'

const advice: Record<'never' | 'same' | 'later', string> = {
  never: 'The same request would fail again.',
  same: 'It may be sent again as it is.',
  later: 'Try again in a moment.',
}

/** What went wrong, why, what next, and the request id to quote. */
export function Problem({ error, doing, retry }: { error: unknown; doing: string; retry?: (() => void) | undefined }) {
  const problem = error instanceof ApiError ? error.problem : null
  const message = error instanceof Error ? error.message : String(error)
  return (
    <div className="problem" role="alert">
      <CircleAlert size={16} aria-hidden />
      <div>
        <p className="problem-title">Could not {doing}</p>
        <p>
          <Commands text={problem?.detail ?? message} />
        </p>
        {problem && (
          <p>
            <Commands text={problem.hint} /> {advice[problem.retry]}
          </p>
        )}
        <p className="problem-facts">
          {problem && (
            <span>
              Code <code>{problem.code satisfies ErrorCode}</code>
            </span>
          )}
          {problem?.request_id && (
            <span>
              Request <code>{problem.request_id}</code> <Copy text={problem.request_id} label="request id" />
            </span>
          )}
          {retry && (
            <button type="button" className="button" onClick={retry}>
              Try again
            </button>
          )}
        </p>
      </div>
    </div>
  )
}

/** Sentences of the contract put commands in backticks. */
export function Commands({ text }: { text: string }) {
  return text.split('`').map((part, index) =>
    // biome-ignore lint/suspicious/noArrayIndexKey: the parts of a sentence have no other identity and never move
    index % 2 ? <code key={index}>{part}</code> : part,
  )
}
