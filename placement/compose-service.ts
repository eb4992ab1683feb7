// One service of a Compose file, said again in the words of the SLA.

import { composeDeploy, type Fields } from './compose-deploy.ts'
import { composePorts } from './compose-ports.ts'
import { labelOf, objectAt, warnUnsupported } from './compose-values.ts'
import { composeVolumes } from './compose-volumes.ts'
import { isLabelName } from './descriptor-fields.ts'
import { childPath, fieldOf, isObject, isOpen, type Place, refuse, show, textOf, warn } from './descriptor-report.ts'

const SUPPORTED = [
  ...['image', 'command', 'entrypoint', 'environment', 'env_file', 'ports', 'expose', 'volumes', 'deploy', 'scale'],
  ...['healthcheck', 'restart', 'depends_on', 'labels', 'working_dir', 'user', 'privileged', 'devices', 'pids_limit'],
  ...['stop_grace_period', 'mem_limit', 'mem_reservation', 'cpus', 'profiles'],
]
/** Known to Compose and to nobody here. */
const UNSUPPORTED = [
  ...['annotations', 'attach', 'build', 'blkio_config', 'cap_add', 'cap_drop', 'cgroup', 'cgroup_parent', 'configs'],
  ...['container_name', 'cpu_count', 'cpu_percent', 'cpu_period', 'cpu_quota', 'cpu_rt_period', 'cpu_rt_runtime'],
  ...['cpu_shares', 'cpuset', 'credential_spec', 'develop', 'device_cgroup_rules', 'dns', 'dns_opt', 'dns_search'],
  ...['domainname', 'extends', 'external_links', 'extra_hosts', 'gpus', 'group_add', 'hostname', 'init', 'ipc'],
  ...['isolation', 'links', 'logging', 'mac_address', 'mem_swappiness', 'memswap_limit', 'network_mode', 'networks'],
  ...['oom_kill_disable', 'oom_score_adj', 'pid', 'platform', 'post_start', 'pre_stop', 'pull_policy', 'read_only'],
  ...['runtime', 'secrets', 'security_opt', 'shm_size', 'stdin_open', 'stop_signal', 'storage_opt', 'sysctls'],
  ...['tmpfs', 'tty', 'ulimits', 'userns_mode', 'uts', 'volumes_from'],
]

/** Where in a Compose service stands what a key of the SLA says. */
export const COMPOSE_PATHS: Readonly<Record<string, string>> = {
  code: 'image',
  cmd: 'command',
  memory: 'deploy.resources.limits.memory',
  vcpus: 'deploy.resources.limits.cpus',
  vgpus: 'deploy.resources.reservations.devices',
  port: 'ports',
  kind: 'deploy.mode',
  replicas: 'deploy.replicas',
  target_node: 'deploy.placement.constraints',
  update: 'deploy.update_config',
  stop_grace: 'stop_grace_period',
  priority: 'labels',
  autonomy: 'labels',
  callers: 'labels',
  'healthcheck.command': 'healthcheck.test',
}

export interface Project {
  readonly name: string
  readonly volumes: ReadonlyMap<string, string>
  /** Services whose end others wait for. */
  readonly jobs: ReadonlySet<string>
}

/** What Compose has no word for may stand in labels. */
export const NAMESPACE_LABEL = 'coppice.namespace'
export const APP_NAMESPACE_LABEL = 'coppice.app_namespace'
const PRIORITY_LABEL = 'coppice.priority'
const AUTONOMY_LABEL = 'coppice.autonomy'
/** Several with commas between. */
const CALLERS_LABEL = 'coppice.callers'

export function composeService(place: Place, name: string, project: Project): Fields {
  const { raw } = place
  warnUnsupported(place, SUPPORTED, UNSUPPORTED)
  if (isOpen(raw.image) && !isOpen(raw.build))
    refuse(place.report, fieldOf(place, 'image'), 'is missing: nothing is built here', 'an image that devices can pull')
  const { own, others } = labelsOf(place)
  return {
    microservice_name: labelOf(name),
    microservice_namespace: own.get(NAMESPACE_LABEL) ?? 'default',
    virtualization: 'container',
    // The absence of an image to build has been reported already.
    code: isOpen(raw.image) && !isOpen(raw.build) ? 'none' : raw.image,
    cmd: raw.command,
    entrypoint: raw.entrypoint,
    working_dir: raw.working_dir,
    user: typeof raw.user === 'number' ? String(raw.user) : raw.user,
    environment: raw.environment,
    port: composePorts(place),
    volumes: composeVolumes(place, project.volumes, project.name, name),
    devices: raw.devices,
    privileged: raw.privileged,
    ...(project.jobs.has(name) && { kind: 'job' }),
    ...composeDeploy(place),
    healthcheck: healthOf(place),
    depends_on: dependenciesOf(place),
    stop_grace: raw.stop_grace_period,
    labels: others,
    priority: own.get(PRIORITY_LABEL),
    autonomy: own.get(AUTONOMY_LABEL),
    callers: own.get(CALLERS_LABEL)?.split(/\s*,\s*/),
  }
}

const HEALTH = ['test', 'interval', 'timeout', 'retries', 'start_period', 'disable']
const TEST_EXPECTED = '["CMD", "curl", "-f", "http://localhost"], ["CMD-SHELL", "curl … || exit 1"], ["NONE"] or a text'

function healthOf(service: Place): Fields | null {
  if (isOpen(service.raw.healthcheck)) return null
  const place = objectAt(service, 'healthcheck')
  warnUnsupported(place, HEALTH, ['start_interval'])
  const { test, interval, timeout, retries, start_period, disable } = place.raw
  if (disable === true || disable === 'true') return null
  const command = commandOf(test)
  if (command === null) {
    if (Array.isArray(test) && test[0] === 'NONE') return null
    const problem = isOpen(test) ? 'is missing' : `${show(test)} is no test`
    refuse(place.report, fieldOf(place, 'test'), problem, TEST_EXPECTED)
    return null
  }
  return { kind: 'command', command, interval, timeout, retries, start_period }
}

const SHELL = ['/bin/sh', '-c'] as const

function commandOf(test: unknown): readonly unknown[] | null {
  if (typeof test === 'string' && test.trim() !== '') return [...SHELL, test]
  if (!Array.isArray(test) || test.length < 2) return null
  const [how, ...words] = test
  if (how === 'CMD') return words
  return how === 'CMD-SHELL' && words.length === 1 ? [...SHELL, words[0]] : null
}

const COMPLETED = 'service_completed_successfully'
const CONDITIONS: readonly unknown[] = ['service_started', 'service_healthy', COMPLETED]

/** The services that have to end well before this one starts: jobs, in our words. */
export const awaitedEnds = ({ raw }: Place): readonly string[] =>
  Object.entries(isObject(raw.depends_on) ? raw.depends_on : {}).flatMap(([name, options]) =>
    isObject(options) && options.condition === COMPLETED ? [name] : [],
  )

/** A list, or an object with conditions; each name as the service is called here. */
function dependenciesOf(place: Place): unknown {
  const raw = place.raw.depends_on
  if (Array.isArray(raw)) return raw.map((name) => (typeof name === 'string' ? labelOf(name) : name))
  if (!isObject(raw)) return raw
  const field = fieldOf(place, 'depends_on')
  for (const [name, options] of Object.entries(raw)) {
    const path = childPath(field, name)
    if (!isObject(options)) continue
    warnUnsupported({ ...place, path, raw: options }, ['condition'], ['restart', 'required'])
    if (!isOpen(options.condition) && !CONDITIONS.includes(options.condition))
      refuse(place.report, `${path}.condition`, `${show(options.condition)} is no condition`, CONDITIONS.join(', '))
  }
  return Object.keys(raw).map(labelOf)
}

/** Ours, and those for others; what cannot be a label here is named and left out. */
function labelsOf(place: Place): { readonly own: ReadonlyMap<string, string>; readonly others: unknown } {
  const { raw } = place
  const own = new Map<string, string>()
  const listed = Array.isArray(raw.labels)
    ? raw.labels.map(pairOf)
    : isObject(raw.labels)
      ? Object.entries(raw.labels)
      : null
  if (listed === null) return { own, others: raw.labels }
  const others: [string, unknown][] = []
  const known = [NAMESPACE_LABEL, APP_NAMESPACE_LABEL, PRIORITY_LABEL, AUTONOMY_LABEL, CALLERS_LABEL]
  for (const [name, value] of listed) {
    const path = childPath(fieldOf(place, 'labels'), name)
    if (known.includes(name)) own.set(name, textOf(value))
    else if (name.startsWith('coppice.')) warn(place.report, path, `is none of ${known.join(', ')} and has no effect`)
    else if (!isLabelName(name) || textOf(value).length > 255)
      warn(place.report, path, 'is too long for a label, or has other letters: left out')
    else others.push([name, value])
  }
  return { own, others: Object.fromEntries(others) }
}

function pairOf(item: unknown): readonly [string, unknown] {
  const text = textOf(item)
  const cut = text.indexOf('=')
  return cut < 0 ? [text, ''] : [text.slice(0, cut), text.slice(cut + 1)]
}
