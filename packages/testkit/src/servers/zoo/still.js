/** Depends on nothing: every run answers the same. */
export const animal = {
  tools: { double: ({ value = 0 }) => value * 2, join: ({ words = [] }) => words.join(' ') },
}
