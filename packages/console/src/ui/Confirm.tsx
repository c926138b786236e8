import { AlertDialog } from '@base-ui/react/alert-dialog'
import { useState } from 'react'
import { Problem } from './Problem.tsx'

interface Props {
  title: string
  /** What will happen, with the name of the thing in the sentence. */
  sentence: string
  verb: string
  act: () => Promise<unknown>
  onClose: () => void
}

/** Asks before something that cannot be taken back; mount it to open it. Stays open with the reason when it fails. */
export default function Confirm({ title, sentence, verb, act, onClose }: Props) {
  const [state, setState] = useState<'asking' | 'acting' | { failed: unknown }>('asking')
  async function confirm() {
    setState('acting')
    try {
      await act()
      onClose()
    } catch (error) {
      setState({ failed: error })
    }
  }
  return (
    <AlertDialog.Root open onOpenChange={open => !open && onClose()}>
      <AlertDialog.Portal>
        <AlertDialog.Backdrop className="backdrop" />
        <AlertDialog.Popup className="dialog">
          <header className="dialog-head">
            <AlertDialog.Title className="dialog-title">{title}</AlertDialog.Title>
          </header>
          <div className="dialog-body">
            <AlertDialog.Description>{sentence}</AlertDialog.Description>
            {typeof state === 'object' && <Problem error={state.failed} doing={verb.toLowerCase()} />}
          </div>
          <footer className="dialog-foot">
            <AlertDialog.Close className="button">Keep it</AlertDialog.Close>
            <button type="button" className="button danger" onClick={confirm} disabled={state === 'acting'}>
              {state === 'acting' ? 'Working…' : verb}
            </button>
          </footer>
        </AlertDialog.Popup>
      </AlertDialog.Portal>
    </AlertDialog.Root>
  )
}
