// The commands about who belongs: invites, operators, the charter.

import { Argument, type Command, Option } from 'commander'
import { INVITE_USES_MAX, THRESHOLD_WORDS } from '../io/control-limits.ts'
import { domainPath, duration, whole } from './arguments.ts'
import type { InviteWords } from './commands/member.ts'
import type { CliContext } from './context.ts'

const HOUR_MS = 3_600_000

type ContextOf = (command: Command) => CliContext

export function addMembershipCommands(program: Command, contextOf: ContextOf): void {
  addInvites(program, contextOf)
  addOperator(program, contextOf)
  addCharter(program, contextOf)
}

function addInvites(program: Command, contextOf: ContextOf): void {
  program
    .command('invite')
    .description('print an invite: one line that lets a device join')
    .option('--domain <path>', 'the cluster that the device joins', domainPath)
    .option('--uses <number>', 'how many devices may use it', whole(1, INVITE_USES_MAX), 1)
    .addOption(
      new Option('--ttl <duration>', 'how long it may be used, as in 30m, 1h or 7d')
        .argParser(duration)
        .default(HOUR_MS, '1h'),
    )
    .option('--node <id>', 'the only device that may use it')
    .option('--enrol', 'whoever joins with it may invite others')
    .option('--qr', 'draw it on stderr too, to be scanned')
    .option('--list', 'show the invites that this device made')
    .option('--revoke <invite>', 'take one of them back, by its id')
    .action(async (words: InviteWords, command: Command) =>
      (await import('./commands/member.ts')).invite(contextOf(command), words),
    )
  program
    .command('prepare')
    .description('write the membership of a device before it goes out; `coppice join FILE` takes it')
    .requiredOption('--out <file>', 'where to; it holds the device’s key')
    .requiredOption('--name <name>', "the device's name for people")
    .option('--domain <path>', 'its cluster', domainPath)
    .action(async (words: { out: string; name: string; domain?: string }, command: Command) =>
      (await import('./commands/member.ts')).prepare(contextOf(command), words),
    )
  program
    .command('federate')
    .description('have all devices of this federation go on in that of an invite; both are one operator’s')
    .argument('<invite>', 'the line that `coppice invite` printed there')
    .option('--check', 'only tell whether the two fit together')
    .option('--yes', 'go on where clusters, devices or secrets share a name, or devices are away')
    .action(async (line: string, words: { readonly check?: boolean; readonly yes?: boolean }, command: Command) =>
      (await import('./commands/federate.ts')).federate(contextOf(command), line, words),
    )
  program
    .command('revoke')
    .description("end a node's membership for good")
    .argument('<node>', "the node's id or name")
    .option('--credential', 'only what it was given so far: a new invite lets the same device in again')
    .action(async (node: string, words: { readonly credential?: boolean }, command: Command) =>
      (await import('./commands/member.ts')).revoke(contextOf(command), node, words.credential === true),
    )
}

function addOperator(program: Command, contextOf: ContextOf): void {
  const operator = program.command('operator').description('operators of the federation, and the key of one')
  operator
    .command('init')
    .description('make an operator key')
    .requiredOption('--name <name>', 'the name of the organisation')
    .action(async (words: { readonly name: string }, command: Command) =>
      (await import('./commands/operator.ts')).initOperator(contextOf(command), words.name),
    )
  operator
    .command('show')
    .description('the operator whose key is here')
    .action(async (_words: object, command: Command) =>
      (await import('./commands/operator.ts')).showOperator(contextOf(command)),
    )
  operator
    .command('request')
    .description('print one line that another operator admits this one by')
    .option('--qr', 'draw it on stderr too, to be scanned')
    .action(async (words: { readonly qr?: boolean }, command: Command) =>
      (await import('./commands/operator.ts')).requestAdmission(contextOf(command), words.qr ?? false),
    )
  operator
    .command('admit')
    .description('admit an operator to the federation')
    .argument('<request>', 'the line that `coppice operator request` printed')
    .action(async (request: string, _words: object, command: Command) =>
      (await import('./commands/operator.ts')).admit(contextOf(command), request),
    )
  operator
    .command('sign')
    .description('sign what waits in the charter')
    .argument('[entry]', 'the beginning of its hash (default: all that waits)', '')
    .option('--file <file>', 'sign what waits in a file, where no node runs')
    .action(async (entry: string, words: { readonly file?: string }, command: Command) =>
      (await import('./commands/operator.ts')).sign(contextOf(command), entry, words.file),
    )
  operator
    .command('remove')
    .description('make an operator leave; the own one leaves at once')
    .argument('<operator>', 'its name or id')
    .option('--reason <text>', 'why, for the charter', '')
    .action(async (who: string, words: { readonly reason: string }, command: Command) =>
      (await import('./commands/operator.ts')).remove(contextOf(command), who, words.reason),
    )
  operator
    .command('rotate')
    .description('have a new key take over from the one here')
    .option('--lost', 'the old one may be in other hands: what it signed counts no more')
    .action(async (words: { readonly lost?: boolean }, command: Command) =>
      (await import('./commands/operator.ts')).rotate(contextOf(command), words.lost ?? false),
    )
}

function addCharter(program: Command, contextOf: ContextOf): void {
  const charter = program.command('charter').description('what the operators decided')
  charter
    .command('log')
    .description('print the charter, every signature checked')
    .argument('[file]', 'from a file instead of the node here')
    .option('--out <file>', 'write it to a file that can be carried and signed')
    .action(async (file: string | undefined, words: { readonly out?: string }, command: Command) =>
      (await import('./commands/charter.ts')).logOf(contextOf(command), file, words.out),
    )
  charter
    .command('take')
    .description('take in a file with a charter, and signatures on what waits')
    .argument('<file>', 'as `coppice charter log --out` writes it')
    .action(async (file: string, _words: object, command: Command) =>
      (await import('./commands/charter.ts')).take(contextOf(command), file),
    )
  charter
    .command('threshold')
    .description('how many operators decide what concerns all')
    .addArgument(new Argument('<how>', 'how many').choices([...THRESHOLD_WORDS]))
    .action(async (how: (typeof THRESHOLD_WORDS)[number], _words: object, command: Command) =>
      (await import('./commands/charter.ts')).setThreshold(contextOf(command), how),
    )
}
