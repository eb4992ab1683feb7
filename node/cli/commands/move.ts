// Moving instances, and opening, closing and emptying devices; with --wait until it is done.

import { setTimeout as delay } from 'node:timers/promises'
import type { InstanceView, IntakeView, MoveView } from '../../control.ts'
import { CoppiceError } from '../../errors.ts'
import type { ControlClient } from '../../io/control-client.ts'
import type { CliContext } from '../context.ts'
import { clean, renderIntake, renderMove } from '../render.ts'

/** How often a waiting command looks: one question each, well below what a move takes. A guess. */
const LOOK_AGAIN_MS = 300

export interface WaitWords {
  readonly wait?: boolean
  readonly timeout: number
}

/** `SERVICE`, or `SERVICE#N` for one instance. */
export function readInstance(text: string): { readonly service: string; readonly number: number | null } {
  const [, service = text, number = null] = /^(.+)#(\d+)$/.exec(text) ?? []
  return { service, number: number === null ? null : Number(number) }
}

export async function migrate(
  context: CliContext,
  instance: string,
  words: WaitWords & { readonly to?: string },
): Promise<void> {
  const { service, number } = readInstance(instance)
  const client = await context.client()
  const before = (await client.inspect(service)).instances
  const moved = await client.migrate(service, number, words.to ?? null)
  if (words.wait) await untilMoved(context, client, moved, before, words.timeout)
  context.answer(moved, renderMove)
}

const runningNode = (instances: readonly InstanceView[], number: number): string | null =>
  instances.find((one) => one.number === number && one.state === 'running')?.node ?? null

/** Looks until each one runs elsewhere; rejects with what came in between. */
async function untilMoved(
  context: CliContext,
  client: ControlClient,
  { service, moves }: MoveView,
  before: readonly InstanceView[],
  timeoutMs: number,
): Promise<void> {
  const started = performance.now()
  const numbers = moves.filter(({ outcome }) => outcome === 'moving').map(({ number }) => number)
  let told = ''
  for (;;) {
    const { instances } = await client.inspect(service)
    const here = numbers.filter((number) => {
      const now = runningNode(instances, number)
      return now === null || now === runningNode(before, number)
    })
    if (here.length === 0) return
    const words = here.map((number) => wordsOf(service, number, instances))
    const stays = words.filter((line) => line.includes('it stays here'))
    if (stays.length > 0) throw new CoppiceError('cannot-move', stays.join('\n'), 'It runs where it was.')
    if (performance.now() - started >= timeoutMs) {
      const seconds = timeoutMs / 1_000
      throw new CoppiceError('not-moved', `not moved after ${seconds} s:\n${words.join('\n')}`, 'It may still come.')
    }
    if (words.join('\n') !== told) context.say(words.join('\n'))
    told = words.join('\n')
    await delay(LOOK_AGAIN_MS)
  }
}

const wordsOf = (service: string, number: number, instances: readonly InstanceView[]): string =>
  instances
    .filter((one) => one.number === number)
    .map((one) => clean(`${service}#${number} on ${one.name ?? one.node ?? 'no device'}: ${one.state}, ${one.reason}`))
    .join('\n')

export async function setIntake(context: CliContext, node: string, set: 'open' | 'cordoned'): Promise<void> {
  context.answer(await (await context.client()).intake(node, set), renderIntake)
}

export async function drain(context: CliContext, node: string, words: WaitWords): Promise<void> {
  const client = await context.client()
  const begun = await client.intake(node, 'draining')
  context.answer(words.wait ? await untilEmpty(context, client, begun, words.timeout) : begun, renderIntake)
}

async function untilEmpty(
  context: CliContext,
  client: ControlClient,
  begun: IntakeView,
  timeoutMs: number,
): Promise<IntakeView> {
  const started = performance.now()
  let told = ''
  for (let now = begun; ; now = await client.intake(begun.node, null)) {
    if (now.instances + now.leads.length + now.elects.length === 0) return now
    const words = renderIntake(now)
    if (performance.now() - started >= timeoutMs)
      throw new CoppiceError('not-empty', `not empty after ${timeoutMs / 1_000} s: ${words}`, 'It goes on giving away.')
    if (words !== told) context.say(words)
    told = words
    await delay(LOOK_AGAIN_MS)
  }
}
