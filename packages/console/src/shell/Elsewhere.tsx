import { routeTable } from 'virtual:route-table'
import type { RouteName } from '@maestro/contract'
import { useQuery } from '@tanstack/react-query'
import { type Ask, pathOf } from '../api/call.ts'
import { queries } from '../api/queries.ts'
import { quoted } from '../ui/quoted.ts'
import { Snippets } from '../ui/Snippets.tsx'

interface Props<N extends RouteName> {
  cli: string
  note?: string
  route: N
  ask?: Pick<Ask<N>, 'params' | 'query' | 'body'>
}

/** The same as the page does, on the command line and by HTTP: console, CLI and API are one product. */
export function Elsewhere<N extends RouteName>({ cli, note, route, ask = {} }: Props<N>) {
  const status = useQuery(queries.status())
  const { method } = routeTable[route]
  const parts = [
    'curl',
    ...(method === 'GET' ? [] : ['-X', method]),
    // The key itself is not known here, only where it lies.
    `-H "Authorization: Bearer $(cat ${quoted(`${status.data?.dataFolder ?? '.maestro'}/keys/operator.key`)})"`,
    ...(ask.body === undefined ? [] : ["-H 'Content-Type: application/json' -d", quoted(JSON.stringify(ask.body))]),
    quoted(location.origin + pathOf(route, ask)),
  ]
  return (
    <Snippets
      label="The same elsewhere"
      snippets={[
        { name: 'CLI', text: cli, ...(note ? { note } : {}) },
        { name: 'curl', text: parts.join(' ') },
      ]}
    />
  )
}
