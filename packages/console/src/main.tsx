import './styles/tokens.css'
import './styles/base.css'
import './styles/controls.css'
import './styles/shell.css'
import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { RouterProvider } from '@tanstack/react-router'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { ApiError } from './api/call.ts'
import { makeRouter } from './router.tsx'
import { SignInGate } from './shell/SignInGate.tsx'
import { takeKeyFromUrl } from './shell/signIn.ts'

// Before anything else: the key must not stay where history, a screenshot or a shared link could show it.
const key = takeKeyFromUrl()

// Conductor was upgraded under an open page: the parts it would fetch now have other names. A second failure in a
// row is something else, and the page says so.
const reloaded = 'switchboard.reloaded'
addEventListener('vite:preloadError', event => {
  if (Date.now() - Number(sessionStorage.getItem(reloaded) ?? 0) < 10_000) return
  sessionStorage.setItem(reloaded, String(Date.now()))
  event.preventDefault()
  location.reload()
})

const client = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 2_000,
      retry: (failures, error) => failures < 2 && error instanceof ApiError && error.problem.retry === 'later',
    },
    mutations: { retry: false },
  },
})
const router = makeRouter(client)

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <QueryClientProvider client={client}>
      <SignInGate operatorKey={key}>
        <RouterProvider router={router} />
      </SignInGate>
    </QueryClientProvider>
  </StrictMode>,
)
