import { Page } from '../ui/Page.tsx'
import { Problem } from '../ui/Problem.tsx'

/** A mistake of ours on one page; the rest of the console goes on. */
export function PageFailed({ error, reset }: { error: unknown; reset: () => void }) {
  return (
    <Page title="This page failed">
      <Problem error={error} doing="show this page" retry={reset} />
    </Page>
  )
}
