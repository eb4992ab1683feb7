// `coppice domain recover`: an operator's word that a majority is gone for good.

import { CoppiceError } from '../../errors.ts'
import type { CliContext } from '../context.ts'

export async function recover(
  context: CliContext,
  path: string,
  words: { readonly sign?: boolean; readonly order?: string },
): Promise<void> {
  if (words.sign && words.order !== undefined) {
    throw new CoppiceError('bad-option', '--sign makes an order, --order brings one', 'Give one of the two.')
  }
  const client = await context.client()
  if (words.sign) {
    const order = await client.signRecovery(path)
    context.answer({ order }, () => order)
    return
  }
  const recovered = await client.recover(path, words.order ?? null)
  context.answer(
    recovered,
    () => `${recovered.domain} goes on in epoch ${recovered.epoch}, with this node as its leader`,
  )
}
