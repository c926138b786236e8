import { lazy, Suspense, useState } from 'react'

const Confirm = lazy(() => import('./Confirm.tsx'))

type Question = Omit<Parameters<typeof Confirm>[0], 'onClose'>

/** A function that asks, and the element to put on the page. The window's code is fetched with the first question. */
export function useConfirm() {
  const [question, setQuestion] = useState<Question | null>(null)
  const window = question && (
    <Suspense>
      <Confirm {...question} onClose={() => setQuestion(null)} />
    </Suspense>
  )
  return [setQuestion, window] as const
}
