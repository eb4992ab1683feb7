// Every key that a descriptor may have: Oakestra's SLA v2.0 and our additions. What a key means, which default holds
// and what may stand there is said here and nowhere else; `coppice schema` prints it.

import { addresses } from './descriptor-addresses.ts'
import { callers } from './descriptor-callers.ts'
import { bandwidth, connectivity, constraints, selector } from './descriptor-constraints.ts'
import {
  amount,
  carried,
  choice,
  duration,
  flag,
  label,
  objectSchema,
  objects,
  optionalAmount,
  unused,
  words,
} from './descriptor-field.ts'
import {
  addedFiles,
  command,
  devices,
  environment,
  labels,
  optionalCommand,
  ports,
  volumes,
} from './descriptor-fields.ts'
import { disconnect, healthcheck, restart, update } from './descriptor-life.ts'
import { secrets } from './descriptor-secrets.ts'
import { serviceNames } from './descriptor-siblings.ts'
import { type ServiceSpec, SPEC_DEFAULTS } from './spec.ts'

/** Applications in a descriptor and microservices in one. Far above any real one. */
export const APPLICATIONS_MAX = 64
export const MICROSERVICES_MAX = 256

/**
 * What holds where a descriptor says nothing; README.md repeats this table. The amounts are guesses for small devices.
 */
export const DESCRIPTOR_DEFAULTS = {
  virtualization: 'container',
  memoryMb: 64,
  vcpus: 0.1,
  vgpus: 0,
  storageMb: 0,
  replicas: 1,
  priority: 100,
  stopGraceMs: 10_000,
} as const

const upTo = (about: string, fallback: number, unit: string, max: number) =>
  amount(about, { fallback, min: 0, max, whole: false, unit })
const counted = (about: string, fallback: number, max: number) =>
  amount(about, { fallback, min: 0, max, whole: true, unit: '' })

const AUTONOMIES = ['automatic', 'manual'] as const

export const MICROSERVICE_KEYS = {
  microserviceID: carried('Other microservices may name it by this.'),
  microservice_name: label('Third part of the address.'),
  microservice_namespace: label('Fourth part of the address.'),
  virtualization: words('container or docker, process, or a runtime that some device offers.', 32),
  code: words('The image; for a process empty or the folder to work in.', 1_024),
  cmd: command('The command: a list of words, or a text that is split as a shell would.'),
  args: command('Appended to cmd.'),
  entrypoint: optionalCommand(
    "Runs the command in place of the image's entry point; for a process it stands before the command.",
  ),
  working_dir: words("Folder to start in; the image's own where nothing is said.", 1_024),
  user: words(
    "User, and group after a colon, to run as; the image's own where nothing is said, for a process the node's.",
    128,
  ),
  environment: environment('Variables: an object, or a list of NAME=value.'),
  secrets: secrets(
    'Secrets of the operator (`coppice secret set`) by name: each a file in /run/secrets, for a process in ' +
      '$COPPICE_SECRETS, or the variable named by "environment".',
  ),
  memory: upTo('MB (10^6 bytes) that it may use.', DESCRIPTOR_DEFAULTS.memoryMb, 'MB', 1e9),
  vcpus: upTo('Cores, fractions allowed.', DESCRIPTOR_DEFAULTS.vcpus, 'cores', 1e5),
  vgpus: upTo('GPUs.', DESCRIPTOR_DEFAULTS.vgpus, 'gpus', 1e4),
  vtpus: upTo('TPUs.', SPEC_DEFAULTS.vtpus, 'tpus', 1e4),
  storage: upTo('MB on disk.', DESCRIPTOR_DEFAULTS.storageMb, 'MB', 1e12),
  bandwidth_in: bandwidth('kbit/s that the device must have left for what comes in.'),
  bandwidth_out: bandwidth('kbit/s that the device must have left for what goes out.'),
  pids_limit: optionalAmount('Processes and threads that it may have.', {
    min: 1,
    max: 4_194_304,
    whole: true,
    unit: '',
  }),
  port: ports('80, "80:8080" (callers\' port, then the program\'s), "80:8080/udp", several with ";" or in a list.'),
  addresses: addresses('Virtual addresses that callers may use: rr_ip, closest_ip, instances, and with _v6.'),
  callers: callers('Namespaces besides its own that may call it: "ns", "app.ns", or "*"; a text or a list.'),
  added_files: addedFiles(
    'Files by address that are there before the start, at "path" or by their own name, below the root of the ' +
      'container or the working folder of the process.',
  ),
  volumes: volumes('Named volumes and folders of the device.'),
  devices: devices('Device files that it may use.'),
  privileged: flag("A container with all the device's rights."),
  state: unused('has no effect: Oakestra means a file with the state to start from, which "added_files" can bring'),
  kind: choice<ServiceSpec['kind'] | 'open'>(
    'service: runs until it is removed; job: runs to its end; daemon: one on each device that matches.',
    ['service', 'job', 'daemon'],
    'open',
  ),
  one_shot: flag('The same as kind "job".'),
  replicas: counted('Instances.', DESCRIPTOR_DEFAULTS.replicas, 10_000),
  restart: restart('always, on-failure, never, or {policy, delay, delay_max}.'),
  healthcheck: healthcheck('How a running instance is asked whether it is well.'),
  depends_on: serviceNames('Services of the application that run, and are healthy, before it is started first.'),
  stop_grace: duration('Between the request to end and the end by force.', {
    fallbackMs: DESCRIPTOR_DEFAULTS.stopGraceMs,
    minMs: 0,
    maxMs: 600_000,
  }),
  update: update('How a new version takes the place of the old one.'),
  disconnect: disconnect('What holds while its device cannot be reached.'),
  autonomy: choice<ServiceSpec['autonomy'] | 'open'>(
    'manual: nobody but `coppice migrate` moves it to another device.',
    AUTONOMIES,
    'open',
  ),
  priority: counted('Higher is kept longer under pressure.', DESCRIPTOR_DEFAULTS.priority, 1_000),
  labels: labels('For people and selectors: an object, or a list of name=value.'),
  target_node: selector('The nodes that it may run on, by a selector; the same as a direct constraint.'),
  constraints: constraints('Where it may run; all of them hold.'),
  connectivity: connectivity('What its ways to other services of the application must be like.'),
  sla_violation_strategy: choice<'migrate' | 'none'>(
    'What follows when a measured constraint stays broken: migrate, or none.',
    ['migrate', 'none'],
    'migrate',
    { replicate: 'migrate', redeploy: 'migrate', ignore: 'none' },
  ),
}

const NAMES = ['microservice_name', 'microservice_namespace']

export const APPLICATION_KEYS = {
  applicationID: carried('For people: here an application is known by its name and namespace.'),
  application_name: label('First part of the address.'),
  application_namespace: label('Second part of the address.'),
  application_desc: carried('For people.'),
  autonomy: choice<ServiceSpec['autonomy']>('Holds for its microservices that say nothing.', AUTONOMIES, 'automatic'),
  microservices: {
    ...objects('The services.', MICROSERVICES_MAX, objectSchema(MICROSERVICE_KEYS, NAMES)),
    schema: {
      type: 'array',
      minItems: 1,
      maxItems: MICROSERVICES_MAX,
      items: objectSchema(MICROSERVICE_KEYS, NAMES),
    },
  },
}

const APPLICATION_REQUIRED = ['application_name', 'application_namespace', 'microservices']

export const ROOT_KEYS = {
  $schema: carried('For editors.'),
  sla_version: carried('v2.0 is what is understood.'),
  customerID: carried('For people: who deploys is known from the key of the device.'),
  args: carried('For people; no version of the SLA gives it a meaning.'),
  applications: {
    ...objects('The applications.', APPLICATIONS_MAX, {}),
    schema: {
      type: 'array',
      minItems: 1,
      maxItems: APPLICATIONS_MAX,
      items: objectSchema(APPLICATION_KEYS, APPLICATION_REQUIRED),
    },
  },
}

/** JSON Schema (draft 2020-12) of a descriptor, as `coppice schema` prints it. */
export const descriptorSchema = (): object => ({
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'Coppice service descriptor (Oakestra SLA v2.0 with additions)',
  ...objectSchema(ROOT_KEYS, ['applications']),
})
