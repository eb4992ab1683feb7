// All commands with their words. What a command does is loaded only when it is called: `coppice status` pulls in no
// libp2p.

import { homedir } from 'node:os'
import { join } from 'node:path'
import { Argument, Command, Option } from 'commander'
import type { ExecTarget } from '../control.ts'
import { LOG_LINES_MAX, REPLICAS_MAX } from '../io/control-limits.ts'
import {
  domainPath,
  duration,
  electors,
  instanceOf,
  labels,
  location,
  multiaddrs,
  percent,
  port,
  runtimes,
  scheduler,
  whole,
} from './arguments.ts'
import type { ExecWords } from './commands/exec.ts'
import type { LogWords } from './commands/logs.ts'
import type { UpWords } from './commands/up.ts'
import { type CliContext, createContext } from './context.ts'
import { addOwnerCommands } from './owner-commands.ts'
import { addMembershipCommands } from './program-membership.ts'

/** Enough to pull a small image over a slow link; a guess. */
const DEPLOY_WAIT_MS = 60_000
/** A device with many instances, each of which may be pulled anew; a guess. */
const DRAIN_WAIT_MS = 300_000

/** With `json`, help that nobody asked for stays unsaid: stderr carries the error's JSON alone. */
export function createProgram(options: { readonly json: boolean }): Command {
  const program = new Command('coppice')
    .description('An edge orchestrator without an orchestrator machine.')
    .option('--data <dir>', "the node's folder (or COPPICE_DATA; default ~/.coppice)")
    .option('--json', 'print one JSON value')
    .exitOverride()
    // Errors are printed in one place, main.ts, where they may become JSON.
    .configureOutput({ outputError: () => {}, ...(options.json && { writeErr: () => {} }) })
    .configureHelp({ showGlobalOptions: true })
    .showSuggestionAfterError()
  addNodeCommands(program)
  addMembershipCommands(program, contextOf)
  addDomainCommands(program)
  addServiceCommands(program)
  addRollback(program)
  addInstanceCommands(program)
  addMoveCommands(program)
  addRegistryCommands(program)
  addOwnerCommands(program, contextOf)
  addOverlayCommands(program)
  return program
}

/** The words that `up` and `join` share. */
const addUpOptions = (command: Command): Command =>
  command
    .option('--listen <multiaddr>', 'where to listen; may be given more than once', multiaddrs)
    .option('--domain <path>', 'the cluster of a node that founds a federation', domainPath)
    .option('--name <name>', "the node's name for people (default: the host name)")
    .addOption(new Option('--preset <preset>', 'how far apart the nodes are').choices(['lan', 'wan', 'metered']))
    .addOption(
      new Option('--autonomy <how>', 'when a majority is gone for good: go on, or wait for an operator').choices([
        'automatic',
        'manual',
      ]),
    )
    .option(
      '--electors <number>',
      'how many children of a domain vote in it where this node leads: 3, 5 or 7',
      electors,
    )
    .option('--no-mdns', 'do not look for members on the local network')
    .option('--relay', 'carry connections between members that cannot reach each other, also where nobody can dial it')
    .option('--no-relay', 'carry none (default: while members can dial this node)')
    .option('--no-port-forwarding', 'do not ask the router to forward a port where members cannot dial this node')
    .option('--announce <multiaddr>', 'an address that reaches this node from outside', multiaddrs)
    .option('--runtime <name>', 'a runtime to offer: process, docker', runtimes)
    .option('--http-proxy <port>', 'the port of the HTTP proxy on loopback (default: a free one)', port)
    .option('--no-http-proxy', 'no HTTP proxy')
    .option('--socks <port>', 'the port of the SOCKS5 proxy on loopback (default: a free one)', port)
    .option('--no-socks', 'no SOCKS5 proxy')
    .option('--dns <port>', 'the port of the DNS server on loopback (default: a free one)', port)
    .option('--no-dns', 'no DNS server')
    .option('--dns-forward <resolver>', "who answers other systems' names, as in 192.0.2.1 (default: refused)")
    .option('--virtual-network', 'addresses in 10.30.0.0/16 and those of descriptors; needs CAP_NET_ADMIN')
    .option('--no-virtual-listeners', 'no loopback address per service')
    .option(
      '--scheduler <name>',
      'best-fit, spread, ldp or ./module.ts: how places are ranked where this node leads',
      scheduler,
    )
    .option('--location <lat,lon>', 'where the device stands, as in 52.52,13.405', location)
    .option('--pressure-high <percent>', 'cpu, load, memory or disk above which the node relieves itself', percent)
    .option('--pressure-low <percent>', 'below which it puts back what it changed', percent)
    .option('--pressure-readings <number>', 'how many readings in a row count, one every 10 s', whole(1, 1_000))
    .option('--no-pressure', 'never relieve the device')
    .option('--label <key=value>', 'a label that selectors may name', labels)

function addNodeCommands(program: Command): void {
  addUpOptions(
    program.command('up').description('run the node in the foreground; the first one founds a federation'),
  ).action(async (words: UpWords, command: Command) => (await import('./commands/up.ts')).up(contextOf(command), words))
  addUpOptions(program.command('join').description('join with an invite, then run like up'))
    .argument('<invite>', 'the line that `coppice invite` printed, or the file that `coppice prepare` wrote')
    .option('--leave', 'leave another federation of the same operator, as the same device (see `federate`)')
    .action(async (invite: string, words: UpWords & { readonly leave?: boolean }, command: Command) =>
      (await import('./commands/up.ts')).join(contextOf(command), invite, words),
    )
  program
    .command('status')
    .description('what this node is, whom it follows and whom it reaches')
    .action(async (_words: object, command: Command) => (await import('./commands/look.ts')).status(contextOf(command)))
  program
    .command('nodes')
    .description('the nodes of this cluster')
    .action(async (_words: object, command: Command) => (await import('./commands/look.ts')).nodes(contextOf(command)))
  program
    .command('events')
    .description('what happens, as it happens; with --json one JSON value a line')
    .action(async (_words: object, command: Command) => (await import('./commands/look.ts')).events(contextOf(command)))
  program
    .command('version')
    .description('the version of Coppice')
    .action(async (_words: object, command: Command) =>
      (await import('./commands/version.ts')).version(contextOf(command)),
    )
}

function addDomainCommands(program: Command): void {
  program
    .command('domain')
    .description('the domains of the tree')
    .command('recover')
    .description('have a domain go on without the majority of its electors that is gone for good')
    .argument('<path>', 'the domain, as in /berlin', domainPath)
    .option('--sign', 'only print the order, signed with the operator key on this device')
    .option('--order <order>', 'an order that was signed elsewhere')
    .action(async (path: string, words: { sign?: boolean; order?: string }, command: Command) =>
      (await import('./commands/domain.ts')).recover(contextOf(command), path, words),
    )
}

function addServiceCommands(program: Command): void {
  program
    .command('validate')
    .description('check a service descriptor; needs no node')
    .argument('<file>', 'the descriptor, or - for standard input')
    .action(async (file: string, _words: object, command: Command) =>
      (await import('./commands/validate.ts')).validate(contextOf(command), file),
    )
  program
    .command('schema')
    .description('print the JSON Schema of a service descriptor; needs no node')
    .action(async (_words: object, command: Command) =>
      (await import('./commands/schema.ts')).schema(contextOf(command)),
    )
  program
    .command('deploy')
    .description('run the services of a descriptor')
    .argument('<file>', 'the descriptor, or - for standard input')
    .option('--wait', 'return when all instances run it, or have done it; 1 when it was rolled back')
    .option('--timeout <duration>', 'how long to wait', duration, DEPLOY_WAIT_MS)
    .option('--domain <path>', 'the domain whose leader places them (default: the root)', domainPath)
    .action(async (file: string, words: { domain?: string; wait?: boolean; timeout: number }, command: Command) =>
      (await import('./commands/deploy.ts')).deploy(contextOf(command), file, words),
    )
  program
    .command('rm')
    .description('stop and remove a service')
    .argument('<service>', 'app.namespace.service.namespace')
    .action(async (service: string, _words: object, command: Command) =>
      (await import('./commands/service.ts')).remove(contextOf(command), service),
    )
  program
    .command('scale')
    .description('set how many instances of a service run')
    .argument('<service>', 'app.namespace.service.namespace')
    .addArgument(new Argument('<replicas>', 'how many').argParser(whole(0, REPLICAS_MAX)))
    .action(async (service: string, replicas: number, _words: object, command: Command) =>
      (await import('./commands/service.ts')).scale(contextOf(command), service, replicas),
    )
}

function addRollback(program: Command): void {
  program
    .command('rollback')
    .description('go back to the version before the newest')
    .argument('<service>', 'app.namespace.service.namespace')
    .action(async (service: string, _words: object, command: Command) =>
      (await import('./commands/service.ts')).rollback(contextOf(command), service),
    )
}

function addInstanceCommands(program: Command): void {
  program
    .command('ps')
    .description('the instances this node knows of')
    .action(async (_words: object, command: Command) => (await import('./commands/service.ts')).ps(contextOf(command)))
  program
    .command('inspect')
    .description('all that is known of a service')
    .argument('<service>', 'app.namespace.service.namespace')
    .action(async (service: string, _words: object, command: Command) =>
      (await import('./commands/service.ts')).inspect(contextOf(command), service),
    )
  program
    .command('logs')
    .description('what the instances of a service wrote')
    .argument('<service>', 'app.namespace.service.namespace')
    .option('-f, --follow', 'go on with what it writes from now on')
    .option('-n, --lines <number>', 'only so many lines from the end', whole(0, LOG_LINES_MAX))
    .option(
      '-i, --instance <number>',
      'the instance (default: all, with the number before each line)',
      whole(0, REPLICAS_MAX),
    )
    .option('--since <duration>', 'only what was written in the last 10m, 2h, 1d', duration)
    .action(async (service: string, words: LogWords, command: Command) =>
      (await import('./commands/logs.ts')).logs(contextOf(command), service, words),
    )
  program
    .command('exec')
    .description('runs a program inside an instance, wherever it runs; ends with its exit code')
    .argument('<service>', 'app.namespace.service.namespace, with #2 behind it for that instance', instanceOf)
    .argument('<command...>', 'the program and its arguments, after --')
    .option('-i, --input', 'it reads what this command is given to read')
    .option('-t, --terminal', 'it gets a terminal')
    .action(async (target: ExecTarget, line: readonly string[], words: ExecWords, command: Command) =>
      (await import('./commands/exec.ts')).exec(contextOf(command), target, line, words),
    )
}

function addMoveCommands(program: Command): void {
  program
    .command('migrate')
    .description('move an instance, or each one of a service, to another device while it runs')
    .argument('<instance>', 'app.namespace.service.namespace, with #N for one instance')
    .option('--to <selector>', 'the device or domain that takes it, by name, pattern or label')
    .option('--wait', 'return when it runs there')
    .option('--timeout <duration>', 'how long to wait', duration, DEPLOY_WAIT_MS)
    .action(async (instance: string, words: { to?: string; wait?: boolean; timeout: number }, command: Command) =>
      (await import('./commands/move.ts')).migrate(contextOf(command), instance, words),
    )
  program
    .command('drain')
    .description('have a device take nothing new and give away what it runs and leads')
    .argument('<node>', "the node's id or name")
    .option('--wait', 'return when it is empty')
    .option('--timeout <duration>', 'how long to wait', duration, DRAIN_WAIT_MS)
    .action(async (node: string, words: { wait?: boolean; timeout: number }, command: Command) =>
      (await import('./commands/move.ts')).drain(contextOf(command), node, words),
    )
  const words = { cordon: 'have a device take nothing new', uncordon: 'have a device take work again' } as const
  for (const name of ['cordon', 'uncordon'] as const) {
    program
      .command(name)
      .description(words[name])
      .argument('<node>', "the node's id or name")
      .action(async (node: string, _words: object, command: Command) =>
        (await import('./commands/move.ts')).setIntake(
          contextOf(command),
          node,
          name === 'cordon' ? 'cordoned' : 'open',
        ),
      )
  }
}

function addRegistryCommands(program: Command): void {
  const registry = program.command('registry').description('what opens registries of images')
  registry
    .command('login')
    .description('keep a login on this node, for pulls of its operator on any device')
    .argument('<host>', 'as in ghcr.io or registry.example:5000')
    .requiredOption('-u, --username <name>', 'whose login it is')
    .requiredOption('--password-stdin', 'read the password or token from standard input')
    .action(async (host: string, words: { readonly username: string }, command: Command) =>
      (await import('./commands/registry.ts')).login(contextOf(command), host, words.username),
    )
  registry
    .command('logout')
    .description('forget a login')
    .argument('<host>', 'the registry')
    .action(async (host: string, _words: object, command: Command) =>
      (await import('./commands/registry.ts')).logout(contextOf(command), host),
    )
  registry
    .command('list')
    .description('the registries that this node has a login of')
    .action(async (_words: object, command: Command) =>
      (await import('./commands/registry.ts')).list(contextOf(command)),
    )
}

function addOverlayCommands(program: Command): void {
  program
    .command('resolve')
    .description('where an address leads')
    .argument('<address>', 'as in app.ns.svc.ns.0.rr.local')
    .action(async (address: string, _words: object, command: Command) =>
      (await import('./commands/look.ts')).resolve(contextOf(command), address),
    )
  program
    .command('forward')
    .description('a local port for an address')
    .argument('<address>', 'as in app.ns.svc.ns.0.rr.local:8080')
    .addArgument(new Argument('[localport]', 'a free one when it is left out').argParser(port).default(0))
    .option('--udp', 'for datagrams')
    .action(async (address: string, localPort: number, words: { readonly udp?: boolean }, command: Command) =>
      (await import('./commands/forward.ts')).forward(
        contextOf(command),
        address,
        localPort,
        words.udp ? 'udp' : 'tcp',
      ),
    )
  program
    .command('ping')
    .description('the path to a node and its round-trip time')
    .argument('<node>', "the node's id or name")
    .action(async (node: string, _words: object, command: Command) =>
      (await import('./commands/look.ts')).ping(contextOf(command), node),
    )
}

/** The global words may stand before or after the command. */
function contextOf(command: Command): CliContext {
  const words = command.optsWithGlobals<{ readonly data?: string; readonly json?: boolean }>()
  const dataDir = words.data || process.env.COPPICE_DATA || join(homedir(), '.coppice')
  return createContext({ dataDir, json: words.json ?? false })
}
