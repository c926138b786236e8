import { routes } from '@maestro/contract'
import react from '@vitejs/plugin-react'
import { defineConfig, type Plugin } from 'vite'

/**
 * Hands the console method and path of every route without the schemas behind them: types come from the contract at
 * compile time, and the schema library (three times the size of the table) stays out of the first load.
 */
function routeTable(): Plugin {
  const name = 'virtual:route-table'
  const table = Object.fromEntries(Object.entries(routes).map(([key, { method, path }]) => [key, { method, path }]))
  return {
    name,
    resolveId: id => (id === name ? `\0${name}` : null),
    load: id => (id === `\0${name}` ? `export const routeTable = ${JSON.stringify(table)}` : null),
  }
}

export default defineConfig({
  base: '/console/',
  plugins: [react(), routeTable()],
  build: {
    outDir: 'dist',
    // light-dark() and nesting reach the browser as written.
    target: ['chrome125', 'firefox128', 'safari18'],
    // Served under a policy that allows no data: URLs.
    assetsInlineLimit: 0,
    rolldownOptions: {
      treeshake: { moduleSideEffects: id => !/\/packages\/(contract|logic)\/|\/node_modules\/(typebox|lucide-react)\//.test(id) },
    },
  },
})
