// Who belongs to the federation: inviting a device, preparing one, and making one leave.

import { open } from 'node:fs/promises'
import { CoppiceError } from '../../errors.ts'
import type { CliContext } from '../context.ts'
import { drawQr } from '../qr.ts'
import { renderInvites, sayProposal } from '../render-membership.ts'

const OWNER_ONLY = 0o600

/** The words of `invite`. */
export interface InviteWords {
  readonly domain?: string
  readonly uses: number
  readonly ttl: number
  readonly node?: string
  readonly enrol?: boolean
  readonly qr?: boolean
  readonly list?: boolean
  readonly revoke?: string
}

export async function invite(context: CliContext, words: InviteWords): Promise<void> {
  const client = await context.client()
  if (words.list) return context.answer(await client.invites(), renderInvites)
  if (words.revoke !== undefined) {
    return context.answer(await client.takeBackInvite(words.revoke), ({ id, joined }) => {
      const stay = joined.length === 0 ? 'nobody has joined with it' : `${joined.length} joined with it and stay`
      return `the invite ${id} is taken back; ${stay}`
    })
  }
  const line = await client.invite({
    domain: words.domain ?? null,
    uses: words.uses,
    ttlMs: words.ttl,
    node: words.node ?? null,
    isEnrolling: words.enrol ?? false,
  })
  context.answer({ invite: line }, () => line)
  if (words.qr) await drawQr(context, line)
}

export async function revoke(context: CliContext, node: string, isCredentialOnly: boolean): Promise<void> {
  const revoked = await (await context.client()).revoke(node, isCredentialOnly)
  context.answer(revoked, () =>
    revoked.state === 'in-force'
      ? isCredentialOnly
        ? `the credential of ${revoked.node} is revoked. A new invite lets it in again, and so does one that it ` +
          'used and that is still open: `coppice invite --list`'
        : `${revoked.node} is revoked; the members hear of it as they meet`
      : `${revoked.node} belongs to another operator. ${sayProposal(revoked)}`,
  )
}

/** Writes the membership of a device that is still to go out; the file holds its key. */
export async function prepare(
  context: CliContext,
  words: { readonly out: string; readonly name: string; readonly domain?: string },
): Promise<void> {
  const content = await (await context.client()).prepare({ name: words.name, domain: words.domain ?? null })
  await writeNew(words.out, content)
  const { node, domain } = JSON.parse(content) as { readonly node: string; readonly domain: string }
  context.answer(
    { node, name: words.name, domain, file: words.out },
    () =>
      `${words.name} (${node}) is prepared for ${domain}: start it with \`coppice join ${words.out}\`.\n` +
      'The file holds the device’s key: whoever has it is that device.',
  )
}

/** Only where nothing is yet: a key that is written over is lost. */
async function writeNew(path: string, content: string): Promise<void> {
  const file = await open(path, 'wx', OWNER_ONLY).catch((problem: NodeJS.ErrnoException) => {
    const why = problem.code === 'EEXIST' ? 'there is a file of that name already' : problem.message
    throw new CoppiceError('unwritable-file', `${path} was not written: ${why}`, 'Choose another name with --out.')
  })
  try {
    await file.writeFile(content)
    await file.sync()
  } finally {
    await file.close()
  }
}
