import { useAllKeys } from '../keys.ts'
import Dialog from '../ui/Dialog.tsx'

/** Every key that does something on the page behind. */
export default function KeysHelp({ onClose }: { onClose: () => void }) {
  const groups = useAllKeys().filter(group => group.keys.length > 0)
  return (
    <Dialog title="Keys" onClose={onClose}>
      {groups.map(group => (
        <section key={group.title} className="keys">
          <h3>{group.title}</h3>
          <dl>
            {group.keys.map(key => (
              <div key={key.keys}>
                <dt>{key.text}</dt>
                <dd>
                  {key.keys.split(' ').map(part => (
                    <kbd key={part}>{names[part] ?? part}</kbd>
                  ))}
                </dd>
              </div>
            ))}
          </dl>
        </section>
      ))}
      <p className="hint">
        <kbd>Ctrl K</kbd> or <kbd>⌘K</kbd> opens the palette from anywhere. Keys rest while you type in a field.
      </p>
    </Dialog>
  )
}

const names: Record<string, string> = { ArrowDown: '↓', ArrowUp: '↑', Enter: '⏎', Escape: 'Esc' }
