// `coppice federate`: two federations of one operator become one.

import type { FederateView } from '../../control.ts'
import type { CliContext } from '../context.ts'
import { clean } from '../render.ts'

export async function federate(
  context: CliContext,
  invite: string,
  words: { readonly check?: boolean; readonly yes?: boolean },
): Promise<void> {
  const isCheck = words.check ?? false
  const view = await (await context.client()).federate({ invite, isCheck, isAllowed: words.yes ?? false })
  context.answer(view, renderFederate)
}

export function renderFederate({ state, name, collisions, away, devices }: FederateView): string {
  const problems = [
    ...collisions.map((one) => `${one.of} ${clean(one.name)}: ${one.problem}`),
    ...away.map((one) => `${clean(one.name)} is away and stays behind`),
  ]
  if (state === 'checked') {
    return problems.length === 0 ? `all fits together with ${clean(name)}` : problems.join('\n')
  }
  const went = devices.map((one) => {
    const said = one.isBegun ? 'goes over' : 'did not say that it goes over'
    return `${clean(one.name)} of ${one.domain} ${said}`
  })
  return [...problems, ...went, `the devices start again as members of ${clean(name)}`].join('\n')
}
