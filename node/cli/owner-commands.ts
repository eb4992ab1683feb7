// The commands of an operator that is sovereign over its devices.

import type { Command } from 'commander'
import type { CliContext } from './context.ts'

type ContextOf = (command: Command) => CliContext

export function addOwnerCommands(program: Command, contextOf: ContextOf): void {
  addPolicyCommands(program, contextOf)
  addSecretCommands(program, contextOf)
  program
    .command('stats')
    .description('what the instances that run on this device use')
    .action(async (_words: object, command: Command) => (await import('./commands/audit.ts')).stats(contextOf(command)))
  program
    .command('audit')
    .description('who asked for what, who decided, who accepted and when, each signed; needs no network')
    .argument('[service]', 'app.namespace.service.namespace (default: all)')
    .option('--usage', "what operators' services were given and used on whose devices, reckoned up from it")
    .action(async (service: string | undefined, words: { readonly usage?: boolean }, command: Command) => {
      const { audit, usage } = await import('./commands/audit.ts')
      return words.usage ? usage(contextOf(command)) : audit(contextOf(command), service ?? null)
    })
}

function addSecretCommands(program: Command, contextOf: ContextOf): void {
  const secret = program.command('secret').description("what this operator's services need and nobody else may know")
  secret
    .command('set')
    .description("keep a secret on this operator's devices of the cluster; read from standard input")
    .argument('<name>', 'as descriptors name it')
    .option('--file <file>', 'read it from a file')
    .action(async (name: string, words: { readonly file?: string }, command: Command) =>
      (await import('./commands/secret.ts')).set(contextOf(command), name, words.file ?? null),
    )
  secret
    .command('list')
    .description('the names of the secrets that this node keeps')
    .action(async (_words: object, command: Command) => (await import('./commands/secret.ts')).list(contextOf(command)))
  secret
    .command('rm')
    .description('forget a secret; instances that have it keep it until their next start')
    .argument('<name>', 'the secret')
    .action(async (name: string, _words: object, command: Command) =>
      (await import('./commands/secret.ts')).remove(contextOf(command), name),
    )
}

function addPolicyCommands(program: Command, contextOf: ContextOf): void {
  const policy = program.command('policy').description("what may run on this operator's devices, and whose")
  policy
    .command('check')
    .description('check a policy file; needs no node')
    .argument('<file>', 'the policy, or - for standard input')
    .action(async (file: string, _words: object, command: Command) =>
      (await import('./commands/policy.ts')).check(contextOf(command), file),
    )
  policy
    .command('set')
    .description("sign a policy with the operator key on this device, for all of the operator's devices")
    .argument('<file>', 'the policy, or one that `policy show --signed` printed, or - for standard input')
    .action(async (file: string, _words: object, command: Command) =>
      (await import('./commands/policy.ts')).set(contextOf(command), file),
    )
  policy
    .command('show')
    .description('the policy that holds on this device')
    .option('--signed', 'as it was signed, to be carried to other devices of the operator')
    .action(async (words: { readonly signed?: boolean }, command: Command) =>
      (await import('./commands/policy.ts')).show(contextOf(command), words),
    )
  policy
    .command('explain')
    .description("what a device's owner has against a service")
    .argument('<service>', 'app.namespace.service.namespace')
    .argument('<node>', "the node's id or name")
    .action(async (service: string, node: string, _words: object, command: Command) =>
      (await import('./commands/policy.ts')).explain(contextOf(command), service, node),
    )
  policy
    .command('schema')
    .description('print the JSON Schema of a policy; needs no node')
    .action(async (_words: object, command: Command) =>
      (await import('./commands/policy.ts')).schema(contextOf(command)),
    )
}
