// The commands that only look: each asks the node one question and prints the answer.

import type { CliContext } from '../context.ts'
import { renderEvent, renderNodes, renderPing, renderResolve, renderStatus } from '../render.ts'
import { onFirstSignal } from '../signals.ts'

export async function status(context: CliContext): Promise<void> {
  context.answer(await (await context.client()).status(), renderStatus)
}

export async function nodes(context: CliContext): Promise<void> {
  context.answer(await (await context.client()).nodes(), renderNodes)
}

export async function resolve(context: CliContext, address: string): Promise<void> {
  context.answer(await (await context.client()).resolve(address), renderResolve)
}

export async function ping(context: CliContext, node: string): Promise<void> {
  context.answer(await (await context.client()).ping(node), renderPing)
}

export async function events(context: CliContext): Promise<void> {
  const client = await context.client()
  for await (const event of client.events(onFirstSignal())) context.answer(event, renderEvent)
}
