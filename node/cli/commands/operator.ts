// `coppice operator`: the key that a federation is founded and invites are signed with, and what operators decide
// together. Making the key, showing it and asking to be admitted need no node.

import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { giveConsent } from '../../../bootstrap/charter-entry.ts'
import { readCharterFile, writeCharterFile } from '../../../bootstrap/charter-file.ts'
import { BootstrapError } from '../../../bootstrap/errors.ts'
import { signDrafts } from '../../../bootstrap/io/charter-keeper.ts'
import {
  createOperatorKey,
  loadOperatorKey,
  OPERATOR_KEY_FILE,
  type OperatorKey,
} from '../../../bootstrap/io/key-file.ts'
import { encodeRequest } from '../../../bootstrap/operator-request.ts'
import { CoppiceError } from '../../errors.ts'
import type { CliContext } from '../context.ts'
import { drawQr } from '../qr.ts'
import { sayProposal } from '../render-membership.ts'

const keyFile = ({ dataDir }: CliContext): string => join(dataDir, OPERATOR_KEY_FILE)

export async function initOperator(context: CliContext, name: string): Promise<void> {
  const file = keyFile(context)
  const key = await createOperatorKey(file, name).catch(asCoppiceProblem)
  context.answer(
    { operator: key.operator, name: key.name, file },
    () =>
      `${key.name} is ${key.operator}\nThe key is in ${file}: keep a copy in a safe place, nobody can make it again.`,
  )
}

export async function showOperator(context: CliContext): Promise<void> {
  const { operator, name } = await ownKey(context)
  const file = keyFile(context)
  context.answer({ operator, name, file }, () => `${name} is ${operator}\nThe key is in ${file}.`)
}

/** One line that others admit this operator by. */
export async function requestAdmission(context: CliContext, asQr: boolean): Promise<void> {
  const key = await ownKey(context)
  const request = encodeRequest(giveConsent({ key: key.operator, name: key.name, at: Date.now() }, key))
  context.answer({ request, operator: key.operator, name: key.name }, () => request)
  if (asQr) await drawQr(context, request)
}

export async function admit(context: CliContext, request: string): Promise<void> {
  context.answer(await (await context.client()).admitOperator(request), sayProposal)
}

export async function remove(context: CliContext, who: string, reason: string): Promise<void> {
  context.answer(await (await context.client()).removeOperator(who, reason), sayProposal)
}

export async function rotate(context: CliContext, isLost: boolean): Promise<void> {
  const rotated = await (await context.client()).rotateOperator(isLost)
  context.answer(rotated, () => `${sayProposal(rotated)}\nThe new key is in ${keyFile(context)}: keep a copy of it.`)
}

/** Signs what waits: on the node here, or in a file that was carried to where the key is. */
export async function sign(context: CliContext, entry: string, file: string | undefined): Promise<void> {
  if (file !== undefined) return await signFile(context, file)
  const signed = await (await context.client()).signCharter(entry)
  context.answer(signed, () =>
    signed.length === 0 ? 'nothing waits for signatures' : signed.map(sayProposal).join('\n'),
  )
}

async function signFile(context: CliContext, file: string): Promise<void> {
  const key = await ownKey(context)
  const read = readCharterFile(await readFile(file, 'utf8'))
  if (!read.ok) throw badFile(file, read.error)
  const signed = signDrafts(read.value, key)
  if (!signed.ok) throw badFile(file, signed.error.detail)
  await writeFile(`${file}.new`, writeCharterFile(signed.value.entries))
  await rename(`${file}.new`, file)
  context.answer({ file, signed: signed.value.signed }, ({ signed: count }) =>
    count === 0
      ? `nothing in ${file} waits for the signature of ${key.name}`
      : `${count} signed; take ${file} to a node of the federation: \`coppice charter take ${file}\``,
  )
}

async function ownKey(context: CliContext): Promise<OperatorKey> {
  const key = await loadOperatorKey(keyFile(context)).catch(asCoppiceProblem)
  if (key !== null) return key
  const hint = 'Make one with `coppice operator init --name NAME`, or name the folder that has it with --data.'
  throw new CoppiceError('no-operator-key', `there is no operator key in ${context.dataDir}`, hint)
}

const badFile = (file: string, why: string): CoppiceError =>
  new CoppiceError('bad-charter', `${file} holds no charter: ${why}`, '`coppice charter log --out FILE` writes one.')

function asCoppiceProblem(problem: unknown): never {
  if (problem instanceof BootstrapError) throw new CoppiceError(problem.code, problem.message, problem.hint)
  throw problem
}
