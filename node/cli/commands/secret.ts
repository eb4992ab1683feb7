// `coppice secret`: what services need and nobody else may know. A secret comes from standard input or a file only:
// command lines are seen by everybody on the device.

import { readFile } from 'node:fs/promises'
import { buffer } from 'node:stream/consumers'
import type { SecretChange } from '../../control.ts'
import { CoppiceError } from '../../errors.ts'
import type { CliContext } from '../context.ts'

export async function set(context: CliContext, name: string, file: string | null): Promise<void> {
  const value = file === null ? withoutLineEnd(await buffer(process.stdin)) : await readSecretFile(file)
  const kept = await (await context.client()).setSecret(name, value.toString('base64'))
  context.answer(kept, ({ devices }) => `${kept.name} is kept on ${countOf(devices)}; instances get it when they start`)
}

export async function list(context: CliContext): Promise<void> {
  const all = await (await context.client()).secrets()
  context.answer(all, () => all.map(({ name, at }) => `${name}  ${at}`).join('\n'))
}

export async function remove(context: CliContext, name: string): Promise<void> {
  const gone: SecretChange = await (await context.client()).removeSecret(name)
  context.answer(gone, ({ devices }) => `${gone.name} is forgotten on ${countOf(devices)}`)
}

const countOf = (devices: number): string => `${devices} ${devices === 1 ? 'device' : 'devices'}`

/** One line end belongs to `echo`, not to the secret. */
function withoutLineEnd(value: Buffer): Buffer {
  const text = value.toString('latin1').replace(/\r?\n$/, '')
  return value.subarray(0, text.length)
}

async function readSecretFile(file: string): Promise<Buffer> {
  try {
    return await readFile(file)
  } catch (problem) {
    const detail = problem instanceof Error ? problem.message : String(problem)
    throw new CoppiceError('unreadable-file', `${file} cannot be read: ${detail}`, 'Name a file that you may read.')
  }
}
