/** What a person pastes into an MCP client. */
export interface ClientConfiguration {
  /** For clients that start their servers as a process: works from anywhere, and for as long as Conductor runs. */
  stdio: { mcpServers: Record<string, { command: string; args: string[] }> }
  /** For clients that speak Streamable HTTP: as long as the token lives. */
  http: { mcpServers: Record<string, { type: 'http'; url: string; headers: { Authorization: string } }> }
}

export function clientConfiguration(
  deployment: string,
  mcpUrl: string,
  token: string,
  program: { node: string; maestro: string; dataFolder: string },
): ClientConfiguration {
  const args = [program.maestro, 'connect', deployment, '--data', program.dataFolder]
  return {
    stdio: { mcpServers: { [deployment]: { command: program.node, args } } },
    http: { mcpServers: { [deployment]: { type: 'http', url: mcpUrl, headers: { Authorization: `Bearer ${token}` } } } },
  }
}
