/** Headers, and parameters of a query, whose values are secrets whatever they are. */
export const secretNames = /auth|cookie|token|secret|password|signature|credential|session|api[-_]?key|^key$|^sig$|^code$/i
/** What is written in their place. */
export const masked = '[masked]'

/** In the query of a URL. */
export function maskQuery(url: string): string {
  return url.replace(/([?&])([^=&#]+)=([^&#]*)/g, (whole, start: string, name: string) =>
    secretNames.test(name) ? `${start}${name}=${masked}` : whole,
  )
}

/** Members of JSON and fields of forms that are named like secrets: an answer to a sign-in holds what the next request is signed with. */
export function maskFields(text: string): string {
  return maskNested(text)
    .replace(/"([^"\\]{1,64})"(\s*:\s*)"(?:[^"\\]|\\.)*"?/g, (whole, name: string, between: string) =>
      secretNames.test(name) ? `"${name}"${between}"${masked}"` : whole,
    )
    .replace(/(^|&)([\w.-]{1,64})=([^&\s]*)/g, (whole, start: string, name: string) =>
      secretNames.test(name) ? `${start}${name}=${masked}` : whole,
    )
}

/** A name and the beginning of its text in JSON that is itself a text in JSON, four times over at most; each time doubles the backslashes. */
const nestedMember = /(?<!\\)(\\{1,15})"([^"\\]{1,64})\1"\s{0,64}:\s{0,64}\1"/g

/** The same in JSON inside a text of JSON, where every quote stands behind backslashes. */
function maskNested(text: string): string {
  let shown = ''
  let from = 0
  nestedMember.lastIndex = 0
  for (;;) {
    const member = nestedMember.exec(text)
    if (member === null) return shown + text.slice(from)
    if (!secretNames.test(member[2]!)) continue
    // A quote with as many backslashes ends the text; one with more is inside of it.
    const end = new RegExp(`(?<!\\\\)\\\\{${member[1]!.length}}"`, 'g')
    end.lastIndex = nestedMember.lastIndex
    const closing = end.exec(text)
    shown += `${text.slice(from, nestedMember.lastIndex)}${masked}`
    from = closing?.index ?? text.length
    nestedMember.lastIndex = from
  }
}
