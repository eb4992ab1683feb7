// Who belongs to the federation: inviting a device, and making one leave.

import type { CliContext } from '../context.ts'

export async function invite(
  context: CliContext,
  words: { readonly domain?: string; readonly uses: number; readonly ttl: number },
): Promise<void> {
  const client = await context.client()
  const line = await client.invite({ domain: words.domain ?? null, uses: words.uses, ttlMs: words.ttl })
  context.answer({ invite: line }, () => line)
}

export async function revoke(context: CliContext, node: string): Promise<void> {
  const revoked = await (await context.client()).revoke(node)
  context.answer(revoked, () => `${revoked.node} is revoked; the members hear of it as they meet`)
}
