/** Speaks unasked: a notification some time after the call that set it off was answered. */
export const animal = {
  tools: {
    remind: ({ afterMs = 50, text = 'now' }, wire) => {
      setTimeout(() => wire.notify('notifications/message', { level: 'info', data: text }), afterMs)
      return 'set'
    },
  },
}
