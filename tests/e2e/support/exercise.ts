import assert from 'node:assert/strict'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  LoggingMessageNotificationSchema,
  ResourceUpdatedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js'
import { eventually } from './eventually.ts'

const textOf = (result: unknown): string => (result as { content: { text: string }[] }).content[0]?.text ?? ''

/**
 * Everything a session client can do with the conformance fixture, by the unmodified SDK v1 client, over any transport:
 * lists, calls, progress, logging, cancellation, the server's requests to the client, subscriptions, completion.
 */
export async function exercise(transport: Transport, name: string): Promise<void> {
  const client = new Client({ name, version: '1' }, { capabilities: { sampling: {}, elicitation: {}, roots: {} } })
  const logged: unknown[] = []
  const updated: string[] = []
  client.setRequestHandler(CreateMessageRequestSchema, ({ params }) => ({
    role: 'assistant',
    model: 'none',
    content: { type: 'text', text: `you said ${JSON.stringify(params.messages[0]?.content)}` },
  }))
  client.setRequestHandler(ElicitRequestSchema, () => ({
    action: 'accept',
    content: { username: 'ada', email: 'ada@example.com' },
  }))
  client.setRequestHandler(ListRootsRequestSchema, () => ({ roots: [{ uri: 'file:///home/ada', name: 'home' }] }))
  client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => void logged.push(params.data))
  client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => void updated.push(params.uri))
  await client.connect(transport)
  try {
    const call = (tool: string, args: Record<string, unknown> = {}) => client.callTool({ name: tool, arguments: args })

    assert.equal(client.getServerVersion()?.name, 'maestro-testkit-conformance')
    assert.equal(client.getInstructions(), 'A fixture for the conformance suite.')
    const { tools } = await client.listTools()
    assert.ok(tools.some(tool => tool.name === 'test_simple_text'))
    assert.equal(textOf(await call('test_simple_text')), 'This is a simple text response for testing.')
    assert.equal((await call('test_error_handling')).isError, true)
    await assert.rejects(call('no_such_tool'), /Unknown tool/)

    const steps: number[] = []
    await client.callTool({ name: 'test_tool_with_progress' }, undefined, { onprogress: ({ progress }) => steps.push(progress) })
    // This client forgets the last step where it comes in one chunk with the result; the conformance suite counts all three.
    assert.deepEqual(steps.slice(0, 2), [0, 50])

    await client.setLoggingLevel('debug')
    await call('test_tool_with_logging')
    assert.deepEqual(logged, ['Tool execution started', 'Tool processing data', 'Tool execution completed'])

    assert.match(textOf(await call('test_sampling', { prompt: 'hé\u2028llo' })), /you said .*hé\u2028llo/)
    assert.match(textOf(await call('test_elicitation', { message: 'Who?' })), /accept.*ada@example\.com/)
    assert.equal(textOf(await call('list_roots')), '[{"uri":"file:///home/ada","name":"home"}]')

    const cancel = new AbortController()
    const waiting = client.callTool({ name: 'wait_until_cancelled' }, undefined, { signal: cancel.signal })
    // The server must have the call before it is cancelled; a call that was answered after it shows that.
    await call('test_simple_text')
    cancel.abort(new Error('enough'))
    await assert.rejects(waiting, /enough/)
    await eventually('the cancellation reached the server', async () => textOf(await call('was_cancelled')) === '1')

    const { prompts } = await client.listPrompts()
    assert.equal(prompts.length, 4)
    const prompt = await client.getPrompt({ name: 'test_prompt_with_arguments', arguments: { arg1: 'a', arg2: 'b' } })
    assert.match(JSON.stringify(prompt.messages), /arg1='a', arg2='b'/)
    const completion = await client.complete({
      ref: { type: 'ref/prompt', name: 'test_prompt_with_arguments' },
      argument: { name: 'arg1', value: 'par' },
    })
    assert.deepEqual(completion.completion.values, ['paris', 'park', 'party'])

    assert.equal((await client.listResources()).resources.length, 3)
    assert.equal((await client.listResourceTemplates()).resourceTemplates.length, 1)
    const { contents } = await client.readResource({ uri: 'test://template/é 1/data' })
    assert.match(JSON.stringify(contents), /Data for ID: é 1/)
    await client.subscribeResource({ uri: 'test://watched-resource' })
    // Over HTTP the notification comes on the session's own stream, which may open a little later than the session.
    await eventually('the subscriber hears of the change', async () => {
      await call('touch_watched_resource')
      return updated.length > 0
    })
    await client.unsubscribeResource({ uri: 'test://watched-resource' })
    assert.equal(textOf(await call('touch_watched_resource')), 'nobody watches')
    await client.ping()
  } finally {
    await client.close()
  }
}
