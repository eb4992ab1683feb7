// `coppice deploy`: hands a descriptor to the node and says where each instance went and why; with --wait it stays
// until they run in their new version, or are done, and says when that went wrong.

import { setTimeout as delay } from 'node:timers/promises'
import type { FieldWarning } from '../../../placement/descriptor-report.ts'
import type { DeployView, InspectView, ServiceView } from '../../control.ts'
import { CoppiceError } from '../../errors.ts'
import type { ControlClient } from '../../io/control-client.ts'
import type { CliContext } from '../context.ts'
import { clean, renderService } from '../render.ts'
import { readDescriptor, renderError, renderFinding, surroundingsOf } from './descriptor-file.ts'

/** How often a waiting deploy looks: well below what a start takes, and one local question each. A guess. */
const LOOK_AGAIN_MS = 200

export interface DeployWords {
  readonly domain?: string
  readonly wait?: boolean
  readonly timeout: number
}

export async function deploy(context: CliContext, file: string, words: DeployWords): Promise<void> {
  const { text, warnings } = await settled(file, await readDescriptor(file))
  const client = await context.client()
  const answer = await client.deploy(text, { domain: words.domain ?? null })
  const deployed = { ...answer, warnings: warnings ?? answer.warnings }
  for (const warning of deployed.warnings) context.say(`warning: ${clean(renderFinding(warning))}`)
  for (const { id, warning } of deployed.services) if (warning) context.say(`warning: ${clean(`${id}: ${warning}`)}`)
  const services = words.wait ? await untilRunning(context, client, deployed, words.timeout) : deployed.services
  context.answer({ ...deployed, services }, (view) => view.services.map(renderService).join('\n'))
}

/**
 * A Compose file becomes a text that means the same on another device; its warnings are told from here, where its lines
 * are known. Any other descriptor is left to the node.
 */
async function settled(
  file: string,
  text: string,
): Promise<{ readonly text: string; readonly warnings: readonly FieldWarning[] | null }> {
  if (/^\s*\{/.test(text) && text.includes('"applications"')) return { text, warnings: null }
  const { parseDescriptor } = await import('../../../placement/descriptor.ts')
  const parsed = parseDescriptor(text, await surroundingsOf(file, text))
  if (parsed.settled === text) return { text, warnings: null }
  if (parsed.valid) return { text: parsed.settled, warnings: parsed.warnings }
  const hint = '`coppice validate FILE` shows each error by itself.'
  throw new CoppiceError('invalid-descriptor', parsed.errors.map(renderError).join('\n'), hint)
}

/** Null where the device has not heard of it again so far: it does not hold the records and asks for them. */
async function inspected(
  client: ControlClient,
  { id, version = null }: DeployView['services'][number],
): Promise<InspectView | null> {
  const found = await client.inspect(id).catch((problem: unknown) => {
    if (problem instanceof CoppiceError && problem.code === 'no-such-service') return null
    throw problem
  })
  // What is told of the version before it says nothing of this one.
  return found !== null && version !== null && found.versions.current < version ? null : found
}

/** Looks until every wanted instance runs; rejects with what is missing when `timeoutMs` have passed. */
async function untilRunning(
  context: CliContext,
  client: ControlClient,
  deployed: DeployView,
  timeoutMs: number,
): Promise<readonly ServiceView[]> {
  const started = performance.now()
  let told = ''
  for (;;) {
    const seen = await Promise.all(deployed.services.map((service) => inspected(client, service)))
    const services = seen.filter((service) => service !== null)
    for (const service of services) throwIfFailed(service)
    const missing = seen.flatMap((service, index) =>
      service === null ? [`${deployed.services[index]?.id}: no word of it yet`] : missingOf(service),
    )
    if (missing.length === 0) return services.map(withoutDetails)
    if (performance.now() - started >= timeoutMs) throw notRunning(missing, timeoutMs)
    const progress = missing.join('\n')
    if (progress !== told) context.say(progress)
    told = progress
    await delay(LOOK_AGAIN_MS)
  }
}

/** A version that came to nothing, or a job that failed for good: no waiting helps. */
function throwIfFailed({ id, rollout, placements }: InspectView): void {
  const reason = clean(rollout?.reason ?? '')
  if (rollout?.state === 'rolled-back') {
    const hint = 'The version before it runs. Deploy a better one, or the same once more.'
    throw new CoppiceError('rolled-back', `${id} was rolled back: ${reason}`, hint)
  }
  if (rollout?.state === 'paused') {
    const hint = '`coppice rollback SERVICE` goes back, `coppice deploy` tries another version.'
    throw new CoppiceError('rollout-paused', `the new version of ${id} is paused: ${reason}`, hint)
  }
  const failed = placements.find(({ outcome }) => outcome === 'failed')
  if (failed === undefined) return
  const problem = `${id} #${failed.number} has failed: ${clean(String(failed.reason))}`
  throw new CoppiceError('job-failed', problem, '`coppice logs` shows what it wrote; `coppice deploy` tries again.')
}

/** One line for each instance that does not run yet; none once all run what was deployed, or are done with it. */
function missingOf(service: InspectView): readonly string[] {
  const { id, rollout, wanted, ready } = service
  if (ready >= wanted && rollout?.state !== 'rolling' && (wanted > 0 || service.spec.kind !== 'daemon')) return []
  const numbers = new Set(service.instances.map((instance) => instance.number))
  const unseen = Math.max(0, wanted - numbers.size)
  const waiting = service.instances
    .filter((instance) => !isUp(service, instance.number))
    .map((instance) =>
      clean(`${id} #${instance.number}: ${instance.state}${instance.reason && `, ${instance.reason}`}`),
    )
  const missing = unseen > 0 ? [`${id}: ${unseen} of ${wanted} instances are not placed yet`] : []
  const doing = service.spec.kind === 'job' ? 'are done' : 'run the new version'
  const progress =
    wanted === 0 ? `${id}: no device that it is for is known yet` : `${id}: ${ready} of ${wanted} ${doing}`
  return [progress, ...waiting, ...missing]
}

/** An instance that moves is there twice, on its old node and on its new one; one that runs is enough. */
const isUp = (service: InspectView, number: number): boolean =>
  service.instances.some((one) => one.number === number && (one.state === 'running' || one.state === 'done'))

function withoutDetails({ id, address, domain, accepted, instances }: InspectView): ServiceView {
  return { id, address, domain, accepted, instances }
}

const notRunning = (missing: readonly string[], timeoutMs: number): CoppiceError =>
  new CoppiceError(
    'not-running',
    `not all instances run after ${timeoutMs / 1_000} s:\n${missing.map((line) => `  ${line}`).join('\n')}`,
    'They are still wanted and start as soon as they can: see `coppice ps`. `coppice rm SERVICE` takes the order back.',
  )
