import { png } from './media.js'

export const resources = [
  { uri: 'test://static-text', name: 'Static text', description: 'Text that never changes', mimeType: 'text/plain' },
  { uri: 'test://static-binary', name: 'Static image', description: 'Bytes that never change', mimeType: 'image/png' },
  { uri: 'test://watched-resource', name: 'Watched text', description: 'Text to subscribe to', mimeType: 'text/plain' },
]

export const resourceTemplates = [
  {
    uriTemplate: 'test://template/{id}/data',
    name: 'Data by id',
    description: 'Repeats the id of its URI',
    mimeType: 'application/json',
  },
]

/** The contents of a resource, or null where there is none. */
export function readResource(uri) {
  switch (uri) {
    case 'test://static-text':
      return { uri, mimeType: 'text/plain', text: 'This is the content of the static text resource.' }
    case 'test://static-binary':
      return { uri, mimeType: 'image/png', blob: png }
    case 'test://watched-resource':
      return { uri, mimeType: 'text/plain', text: 'Watched resource content' }
    default: {
      const id = /^test:\/\/template\/([^/]+)\/data$/.exec(uri)?.[1]
      if (id === undefined) return null
      const text = JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` })
      return { uri, mimeType: 'application/json', text }
    }
  }
}
