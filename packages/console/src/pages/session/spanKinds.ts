import type { ExchangeSpan } from '@maestro/logic'

/** What the parts of a bar are called, and what they mean. */
export const spanKinds: Record<ExchangeSpan['kind'], { name: string; meaning: string }> = {
  waiting: { name: 'Waiting', meaning: 'for a sandbox' },
  working: { name: 'Working', meaning: 'the server had it' },
  asking: { name: 'Asking', meaning: 'the server waited for the client’s answer' },
  delivering: { name: 'Delivering', meaning: 'from the answer until the client had it' },
}
