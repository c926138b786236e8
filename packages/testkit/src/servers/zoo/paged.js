import { describe } from './serve.js'

const names = Array.from({ length: 25 }, (_, index) => `tool_${index}`)
const pageSize = 10

/** Lists its tools in pages, and answers a method no revision of the protocol knows. */
export const animal = {
  tools: Object.fromEntries(names.map(name => [name, () => name])),
  methods: {
    'tools/list': ({ cursor = '0' }) => {
      const from = Number(cursor)
      const next = from + pageSize
      const page = { tools: names.slice(from, next).map(describe) }
      return next < names.length ? { ...page, nextCursor: String(next) } : page
    },
    'x-zoo/unheard-of': params => ({ heard: params, extra: { kept: [1, 2.5, null, '\u2028'] } }),
  },
}
