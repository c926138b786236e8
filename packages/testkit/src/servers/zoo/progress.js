/** Tells how far it is, then answers. The number of steps is the caller's, and so is the pace. */
export const animal = {
  tools: {
    walk: async ({ steps = 3, stepMs = 0 }, wire, { progressToken }) => {
      for (let progress = 1; progress <= steps; progress++) {
        if (stepMs > 0) await new Promise(resolve => setTimeout(resolve, stepMs))
        if (progressToken !== undefined) wire.notify('notifications/progress', { progressToken, progress, total: steps })
      }
      return `walked ${steps}`
    },
  },
}
