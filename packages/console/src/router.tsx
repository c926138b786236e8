import type { QueryClient } from '@tanstack/react-query'
import { createRootRouteWithContext, createRoute, createRouter, lazyRouteComponent } from '@tanstack/react-router'
import { queries } from './api/queries.ts'
import { OverviewPage } from './pages/overview/OverviewPage.tsx'
import { viewerSearch } from './pages/session/viewerSearch.ts'
import { oneOf, searchOf, text } from './search.ts'
import { NotFound } from './shell/NotFound.tsx'
import { PageFailed } from './shell/PageFailed.tsx'
import { Shell } from './shell/Shell.tsx'
import { Waiting } from './ui/Waiting.tsx'

const root = createRootRouteWithContext<{ client: QueryClient }>()({ component: Shell, notFoundComponent: NotFound })

const overview = createRoute({ getParentRoute: () => root, path: '/', component: OverviewPage })

const deployments = createRoute({
  getParentRoute: () => root,
  path: '/deployments',
  validateSearch: searchOf({ find: text }),
  loader: ({ context }) => void context.client.prefetchQuery(queries.deployments()),
  component: lazyRouteComponent(() => import('./pages/deployments/DeploymentsPage.tsx')),
})

const deploy = createRoute({
  getParentRoute: () => root,
  path: '/deployments/new',
  validateSearch: searchOf({ source: text }),
  component: lazyRouteComponent(() => import('./pages/deploy/DeployPage.tsx')),
})

const deployment = createRoute({
  getParentRoute: () => root,
  path: '/deployments/$id',
  validateSearch: searchOf({ tab: oneOf('tools', 'connect', 'sessions', 'settings'), tool: text }),
  loader: ({ context, params }) => void context.client.prefetchQuery(queries.deployment(params.id)),
  component: lazyRouteComponent(() => import('./pages/deployment/DeploymentPage.tsx')),
})

const pool = createRoute({
  getParentRoute: () => root,
  path: '/pool',
  loader: ({ context }) => void context.client.prefetchQuery(queries.pool()),
  component: lazyRouteComponent(() => import('./pages/pool/PoolPage.tsx')),
})

const sessions = createRoute({
  getParentRoute: () => root,
  path: '/sessions',
  validateSearch: searchOf({ state: oneOf('opening', 'ready', 'hibernated', 'closed'), deployment: text, search: text }),
  component: lazyRouteComponent(() => import('./pages/sessions/SessionsPage.tsx')),
})

const session = createRoute({
  getParentRoute: () => root,
  path: '/sessions/$id',
  validateSearch: viewerSearch,
  loader: ({ context, params }) => void context.client.prefetchQuery(queries.session(params.id)),
  component: lazyRouteComponent(() => import('./pages/session/SessionPage.tsx')),
})

const file = createRoute({
  getParentRoute: () => root,
  path: '/file',
  validateSearch: viewerSearch,
  component: lazyRouteComponent(() => import('./pages/session/FilePage.tsx')),
})

const logs = createRoute({
  getParentRoute: () => root,
  path: '/logs',
  validateSearch: searchOf({ level: oneOf('warn', 'error'), find: text, session: text }),
  component: lazyRouteComponent(() => import('./pages/logs/LogsPage.tsx')),
})

const routeTree = root.addChildren([overview, deployments, deploy, deployment, pool, sessions, session, file, logs])

export function makeRouter(client: QueryClient) {
  return createRouter({
    routeTree,
    basepath: '/console',
    context: { client },
    defaultPreload: 'intent',
    defaultPendingComponent: () => <Waiting what="Loading" />,
    defaultErrorComponent: ({ error, reset }) => <PageFailed error={error} reset={reset} />,
    // The headings take the focus themselves; see RouteAnnouncer.
    scrollRestoration: true,
  })
}

declare module '@tanstack/react-router' {
  interface Register {
    router: ReturnType<typeof makeRouter>
  }
}
