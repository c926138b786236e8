import { Monitor, Moon, Sun } from 'lucide-react'
import { setTheme, themes, useTheme } from '../ui/theme.ts'

const icons = { system: Monitor, light: Sun, dark: Moon }

/** Goes round system, light, dark. */
export function ThemeToggle() {
  const theme = useTheme()
  const next = themes[(themes.indexOf(theme) + 1) % themes.length]!
  const Icon = icons[theme]
  return (
    <button
      type="button"
      className="icon-button"
      aria-label={`Theme: ${theme}. Change to ${next}`}
      title={`Theme: ${theme}`}
      onClick={() => setTheme(next)}
    >
      <Icon size={15} aria-hidden />
    </button>
  )
}
