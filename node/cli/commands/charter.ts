// `coppice charter`: what the operators decided, from the node here or, with no node at all, from a file.

import { readFile, writeFile } from 'node:fs/promises'
import { extend, openEntries } from '../../../bootstrap/charter.ts'
import { mergeDrafts, viewDraft } from '../../../bootstrap/charter-drafts.ts'
import type { Threshold } from '../../../bootstrap/charter-entry.ts'
import { readCharterFile } from '../../../bootstrap/charter-file.ts'
import { type CharterLog, logCharter } from '../../../bootstrap/charter-log.ts'
import { nodeCrypto } from '../../../bootstrap/io/crypto.ts'
import { CoppiceError } from '../../errors.ts'
import type { CliContext } from '../context.ts'
import { renderCharter, sayProposal } from '../render-membership.ts'

export async function logOf(context: CliContext, file: string | undefined, out: string | undefined): Promise<void> {
  if (file !== undefined) return context.answer(await verified(file), renderCharter)
  const client = await context.client()
  if (out !== undefined) {
    await writeFile(out, await client.charterFile())
    return context.answer({ file: out }, () => `the charter and what waits for signatures are in ${out}`)
  }
  context.answer(await client.charterLog(), renderCharter)
}

export async function take(context: CliContext, file: string): Promise<void> {
  const taken = await (await context.client()).takeCharter(await readFile(file, 'utf8'))
  for (const problem of taken.problems) context.say(`not taken in: ${problem}`)
  context.answer(taken, ({ added, waiting }) => `${added} new entries are in force, ${waiting} wait for signatures`)
}

export async function setThreshold(context: CliContext, threshold: Threshold): Promise<void> {
  context.answer(await (await context.client()).setThreshold(threshold), sayProposal)
}

/** Checks every entry of a file, and says which one is wrong. */
async function verified(file: string): Promise<CharterLog> {
  const read = readCharterFile(await readFile(file, 'utf8'))
  if (!read.ok) throw invalid(file, read.error)
  const [genesis] = read.value
  const founded = openEntries(genesis === undefined ? [] : [genesis], nodeCrypto)
  if (!founded.ok) throw invalid(file, founded.error.detail)
  const { charter, drafts, orphans, problems } = extend(founded.value, read.value.slice(1), nodeCrypto)
  const [problem] = problems
  if (problem !== undefined) throw invalid(file, problem.detail)
  if (orphans > 0) throw invalid(file, `${orphans} of its entries follow from none that is there`)
  const waiting = [...mergeDrafts(new Map(), drafts, charter, nodeCrypto).drafts.values()]
  return logCharter(
    charter,
    waiting.flatMap((draft) => viewDraft(draft, charter, nodeCrypto) ?? []),
  )
}

const invalid = (file: string, why: string): CoppiceError =>
  new CoppiceError('invalid-charter', `the charter in ${file} is not valid: ${why}`, 'Do not act on it.')
