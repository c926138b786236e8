import { Pause, Play } from 'lucide-react'
import { type LiveState, live, useLiveState } from '../api/live.ts'
import { State, type Tone } from '../ui/State.tsx'

const words: Record<LiveState, { text: string; tone: Tone; meaning: string }> = {
  connecting: { text: 'Connecting', tone: 'busy', meaning: 'Opening the stream of changes.' },
  live: { text: 'Live', tone: 'good', meaning: 'Changes appear by themselves.' },
  polling: { text: 'Polling', tone: 'warn', meaning: 'The stream of changes is away; fetching every 5 s.' },
  paused: { text: 'Paused', tone: 'quiet', meaning: 'Nothing changes until you resume.' },
}

/** How fresh the screen is, and the switch that holds it still. */
export function LiveSwitch() {
  const state = useLiveState()
  const { text, tone, meaning } = words[state]
  const paused = state === 'paused'
  return (
    <div className="live" title={meaning}>
      <span role="status">
        <State tone={tone}>{text}</State>
      </span>
      <button
        type="button"
        className="icon-button"
        aria-label={paused ? 'Resume live updates' : 'Pause live updates'}
        onClick={() => (paused ? live.resume() : live.pause())}
      >
        {paused ? <Play size={14} aria-hidden /> : <Pause size={14} aria-hidden />}
      </button>
    </div>
  )
}
