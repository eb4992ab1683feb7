// `coppice up` and `coppice join`: the node itself, in the foreground, until it is told to stop.

import { readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import type { ElectorsMax } from '../../../election/index.ts'
import type { DomainPath } from '../../../overlay/kernel/ids.ts'
import type { NodeControl, StatusView } from '../../control.ts'
import type { RunningNode } from '../../index.ts'
import type { NodeOptions, Preset } from '../../options.ts'
import { keepCompiled } from '../compile-cache.ts'
import type { CliContext } from '../context.ts'
import { clean } from '../render.ts'
import { onFirstSignal } from '../signals.ts'
import { keepYoungHeapSmall } from '../young-heap.ts'

/** How often what the node waits for is looked at: quick for a person's eye, nothing for the node. */
const PROGRESS_MS = 250
/** An orderly stop closes connections and the store; one that takes longer is stuck. A guess. */
const STOP_MS_MAX = 10_000
const STUCK = 1
/** What still holds the process this long after an orderly stop is cut off. A guess. */
const LINGER_MS_MAX = 2_000

/** The words of `up`, as the command line gives them. */
export interface UpWords {
  readonly listen?: readonly string[]
  readonly domain?: DomainPath
  readonly name?: string
  readonly preset?: Preset
  readonly autonomy?: 'automatic' | 'manual'
  readonly electors?: ElectorsMax
  readonly mdns: boolean
  readonly relay?: boolean
  readonly portForwarding: boolean
  readonly announce?: readonly string[]
  readonly runtime?: readonly string[]
  /** A port, or false for none. */
  readonly httpProxy?: number | false
  readonly socks?: number | false
  readonly dns?: number | false
  readonly dnsForward?: string
  readonly virtualListeners: boolean
  readonly virtualNetwork?: boolean
  readonly scheduler?: string
  readonly location?: NonNullable<NodeOptions['location']>
  readonly pressureHigh?: number
  readonly pressureLow?: number
  readonly pressureReadings?: number
  readonly pressure: boolean
  readonly label?: Readonly<Record<string, string>>
}

export async function up(context: CliContext, words: UpWords): Promise<void> {
  keepYoungHeapSmall()
  const { createNode } = await import('../../index.ts')
  await inForeground(context, () => createNode(optionsOf(context.dataDir, words)))
}

/** With an invite, or with the file of a device that was prepared. */
export async function join(
  context: CliContext,
  word: string,
  words: UpWords & { readonly leave?: boolean },
): Promise<void> {
  keepYoungHeapSmall()
  const { joinNode } = await import('../../index.ts')
  const invite = (await readFile(word, 'utf8').catch(() => null)) ?? word
  const joining = { invite, leave: words.leave === true, onProgress: context.say }
  await inForeground(context, () => joinNode({ ...optionsOf(context.dataDir, words), ...joining }))
}

function optionsOf(dataDir: string, words: UpWords): NodeOptions {
  return {
    dataDir,
    mdns: words.mdns,
    portForwarding: words.portForwarding,
    virtualListeners: words.virtualListeners,
    ...(words.listen && { listen: words.listen }),
    ...(words.domain && { domain: words.domain }),
    ...(words.name && { name: words.name }),
    ...(words.preset && { preset: words.preset }),
    ...(words.autonomy && { autonomy: words.autonomy }),
    ...(words.electors && { electors: words.electors }),
    ...(words.relay !== undefined && { relay: words.relay }),
    ...(words.announce && { announce: words.announce }),
    ...(words.runtime && { runtimes: words.runtime }),
    ...(words.httpProxy !== undefined && { httpProxyPort: words.httpProxy === false ? null : words.httpProxy }),
    ...(words.scheduler && { scheduler: words.scheduler }),
    ...(words.location && { location: words.location }),
    pressure: pressureOf(words),
    ...(words.socks !== undefined && { socksPort: words.socks === false ? null : words.socks }),
    ...(words.dns !== undefined && { dnsPort: words.dns === false ? null : words.dns }),
    ...(words.virtualNetwork && { virtualNetwork: true }),
    ...(words.dnsForward && { dnsForward: words.dnsForward }),
    ...(words.label && { labels: words.label }),
  }
}

const pressureOf = (words: UpWords): NonNullable<NodeOptions['pressure']> | null =>
  words.pressure
    ? {
        ...(words.pressureHigh && { high: words.pressureHigh }),
        ...(words.pressureLow && { low: words.pressureLow }),
        ...(words.pressureReadings && { readings: words.pressureReadings }),
      }
    : null

/** Starts a node, says how it goes, and stays until a signal ends it or it fails. */
async function inForeground(context: CliContext, start: () => Promise<RunningNode>): Promise<void> {
  const node = await start()
  const broken = new AbortController()
  void node.failed.then((problem) => broken.abort(problem))
  const end = AbortSignal.any([onFirstSignal(), broken.signal])
  try {
    introduce(context, node.control.status())
    await untilReady(context, node, end)
    await aborted(end)
    if (broken.signal.aborted) throw broken.signal.reason
    sayGoodbye(context, node.control)
  } finally {
    const stuck = setTimeout(() => process.exit(STUCK), STOP_MS_MAX)
    await node.stop()
    clearTimeout(stuck)
    setTimeout(() => process.exit(), LINGER_MS_MAX).unref()
  }
}

async function untilReady(context: CliContext, node: RunningNode, end: AbortSignal): Promise<void> {
  const settled = new AbortController()
  const progress = sayWaiting(context, node.control, AbortSignal.any([end, settled.signal]))
  try {
    await node.ready(end)
    context.say('ready to take work')
    context.answer(node.control.status(), () => 'ready')
    keepCompiled()
  } catch (problem) {
    if (!end.aborted) throw problem
  } finally {
    settled.abort()
    await progress
  }
}

function introduce(context: CliContext, status: StatusView): void {
  context.say(`node       ${clean(status.name)} (${status.node})`)
  context.say(`domain     ${status.domain} of federation ${status.federation}`)
  for (const address of status.addresses) context.say(`address    ${address}`)
  if (status.proxies.http !== null) context.say(`http proxy ${status.proxies.http}`)
  if (status.proxies.socks !== null) context.say(`socks      ${status.proxies.socks}`)
  if (status.proxies.dns !== null) context.say(`dns        ${status.proxies.dns}`)
  context.say(`data       ${context.dataDir}`)
}

/** A line each time that what the node waits for changes. */
async function sayWaiting(context: CliContext, control: NodeControl, signal: AbortSignal): Promise<void> {
  let told = ''
  while (!signal.aborted) {
    const waiting = control.status().waitingFor.join(', ')
    if (waiting !== told && waiting !== '') context.say(`waiting for ${clean(waiting)}`)
    told = waiting
    await delay(PROGRESS_MS, undefined, { signal }).catch(() => {})
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}

function sayGoodbye(context: CliContext, control: NodeControl): void {
  const { node } = control.status()
  const kept = control.instances().filter((instance) => instance.node === node && instance.state === 'running').length
  context.say(
    kept === 0
      ? 'stopping'
      : `stopping; ${kept} ${kept === 1 ? 'instance keeps' : 'instances keep'} running on this device`,
  )
}
