// `coppice registry`: the logins of registries that this node keeps. Passwords come on standard input only: command
// lines are seen by everybody on the device.

import { text } from 'node:stream/consumers'
import type { CliContext } from '../context.ts'

export async function login(context: CliContext, registry: string, username: string): Promise<void> {
  // One line end belongs to `echo`, not to the password.
  const password = (await text(process.stdin)).replace(/\r?\n$/, '')
  const kept = await (await context.client()).registryLogin({ registry, username, password })
  context.answer(kept, () => `${kept.registry} is opened as ${kept.username}, for this operator's pulls on any device`)
}

export async function logout(context: CliContext, registry: string): Promise<void> {
  const gone = await (await context.client()).registryLogout(registry)
  context.answer(gone, () => `the login of ${gone.registry} is forgotten`)
}

export async function list(context: CliContext): Promise<void> {
  const all = await (await context.client()).registries()
  context.answer(all, () => all.map(({ registry, username }) => `${registry}  ${username}`).join('\n'))
}
