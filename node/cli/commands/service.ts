// One service or all instances: seeing them, changing how many there are, going back to the version before, removing
// them.

import type { CliContext } from '../context.ts'
import { renderInspect, renderInstances, renderService } from '../render.ts'

export async function ps(context: CliContext): Promise<void> {
  context.answer(await (await context.client()).instances(), (instances) => renderInstances(instances, Date.now()))
}

export async function inspect(context: CliContext, service: string): Promise<void> {
  context.answer(await (await context.client()).inspect(service), renderInspect)
}

export async function scale(context: CliContext, service: string, replicas: number): Promise<void> {
  context.answer(await (await context.client()).scale(service, replicas), renderService)
}

export async function remove(context: CliContext, service: string): Promise<void> {
  context.answer(await (await context.client()).remove(service), (removed) => `${removed.id} is being removed`)
}

export async function rollback(context: CliContext, service: string): Promise<void> {
  context.answer(await (await context.client()).rollback(service), renderService)
}
