/**
 * A value as JSON. Values come from recordings and servers: one that is nested too deeply for the printer
 * gives a sentence that says so, and the rest of the page goes on.
 */
export function printed(value: unknown, indent = 0): string {
  try {
    return JSON.stringify(value, null, indent) ?? ''
  } catch {
    return '(nested too deeply to print; the frame has it byte for byte)'
  }
}
