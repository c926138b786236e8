import type { Deployment } from '@maestro/contract'
import { getRouteApi, useNavigate } from '@tanstack/react-router'
import { Empty } from '../../ui/Empty.tsx'
import { JsonTree } from '../../ui/JsonTree.tsx'
import { TryTool } from './TryTool.tsx'

const route = getRouteApi('/deployments/$id')

/** The tools as the server listed them on its first run; each can be tried. */
export function ToolsTab({ deployment }: { deployment: Deployment }) {
  const search = route.useSearch()
  const navigate = useNavigate({ from: '/deployments/$id' })
  const { tools } = deployment.release.manifest
  const tool = tools.find(item => item.name === search.tool)
  if (tools.length === 0) {
    return (
      <Empty
        title="This server has no tools"
        body="On its first run it listed none. It may still offer prompts or resources, or list tools only to some callers."
      />
    )
  }
  return (
    <div className="tools">
      <ul className="tool-list" aria-label="Tools">
        {tools.map(item => (
          <li key={item.name}>
            <button
              type="button"
              aria-pressed={item.name === tool?.name}
              onClick={() => void navigate({ search: { ...search, tool: item.name }, replace: true, resetScroll: false })}
            >
              <b>{item.name}</b>
              {item.description && <span>{item.description}</span>}
            </button>
          </li>
        ))}
      </ul>
      {tool ? (
        <section className="tool" aria-label={tool.name} key={tool.name}>
          <h2>{tool.name}</h2>
          {tool.description && <p className="tool-description">{tool.description}</p>}
          <details>
            <summary>Input schema</summary>
            <div className="json">
              <JsonTree value={tool.inputSchema ?? {}} open={3} />
            </div>
          </details>
          <TryTool deployment={deployment} tool={tool} />
        </section>
      ) : (
        <Empty title="Choose a tool" body="Its description, input schema and a form to call it appear here." />
      )}
    </div>
  )
}
