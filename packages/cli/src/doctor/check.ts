/** One thing that was looked at. */
export interface Check {
  name: string
  /** `weak`: works, less well than it could. `absent`: missing, and not needed. `unknown`: could not be found out. */
  state: 'ok' | 'weak' | 'failed' | 'absent' | 'unknown'
  detail: string
  /** What mends it, where something can; a command where there is one. */
  mend: string | null
}

export const ok = (name: string, detail: string): Check => ({ name, state: 'ok', detail, mend: null })
export const weak = (name: string, detail: string, mend: string | null): Check => ({ name, state: 'weak', detail, mend })
export const failed = (name: string, detail: string, mend: string | null): Check => ({ name, state: 'failed', detail, mend })
export const absent = (name: string, detail: string, mend: string | null): Check => ({ name, state: 'absent', detail, mend })
export const unknown = (name: string, detail: string): Check => ({ name, state: 'unknown', detail, mend: null })
