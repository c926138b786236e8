declare module 'virtual:route-table' {
  import type { RouteName } from '@maestro/contract'
  /** Method and path of every route, put in at build time from the contract. */
  export const routeTable: Record<RouteName, { method: string; path: string }>
}
