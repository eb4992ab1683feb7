// A Compose file made self-contained, as `docker compose config` does: variables filled in, environment files read in,
// folders of the device written out and the project named. What is settled may travel to another device.

import { escapeVariables, interpolate, readEnvironmentFile, type Variables } from './compose-variables.ts'
import { childPath, isObject, isOpen, type Report, refuse, textOf, warn } from './descriptor-report.ts'

/** What a Compose file does not say itself. */
export interface Surroundings {
  /** The folder of the file, absolute; null where it came from nowhere. */
  readonly folder: string | null
  readonly variables: Variables
  /** The texts of the environment files, by the name that stands in the Compose file. */
  readonly files: ReadonlyMap<string, string>
}

export const NOWHERE: Surroundings = { folder: null, variables: {}, files: new Map() }

type Raw = Readonly<Record<string, unknown>>

export const isCompose = (raw: unknown): raw is Raw =>
  isObject(raw) && isObject(raw.services) && !Object.hasOwn(raw, 'applications')

interface EnvironmentFile {
  readonly name: string
  readonly isRequired: boolean
}

/** The environment files that the services name. */
export function environmentFiles(raw: Raw, variables: Variables): readonly string[] {
  const quiet: Report = { errors: [], warnings: [] }
  const settled = interpolate(quiet, raw.services, variables)
  const services = Object.values(isObject(settled) ? settled : {})
  return services.flatMap((service) => (isObject(service) ? filesOf(service.env_file).map(({ name }) => name) : []))
}

/** A name, a list of names, or of `{path, required}`. */
function filesOf(raw: unknown): readonly EnvironmentFile[] {
  const items = isOpen(raw) ? [] : Array.isArray(raw) ? raw : [raw]
  return items.flatMap((item) => {
    if (typeof item === 'string') return [{ name: item, isRequired: true }]
    const isNamed = isObject(item) && typeof item.path === 'string'
    return isNamed ? [{ name: String(item.path), isRequired: item.required !== false }] : []
  })
}

/** Needs no surroundings any more; its dollar signs are plain ones. */
export function settleCompose(report: Report, raw: Raw, surroundings: Surroundings): Raw {
  const { variables, folder } = surroundings
  const filled = interpolate(report, raw, variables)
  if (!isObject(filled) || !isObject(filled.services)) return raw
  const services = Object.entries(filled.services).map(([name, service]) => {
    const path = childPath('$.services', name)
    return [name, isObject(service) ? settleService(report, path, service, surroundings) : service] as const
  })
  const name = projectName(filled.name, variables, folder)
  return { ...filled, ...(name !== null && { name }), services: Object.fromEntries(services) }
}

/** As text that gives the same services on any device. */
export const composeText = (settled: Raw): string => JSON.stringify(escapeVariables(settled))

/** As Docker Compose finds it: the file's own, COMPOSE_PROJECT_NAME, or the name of the folder. */
function projectName(named: unknown, variables: Variables, folder: string | null): string | null {
  if (!isOpen(named)) return textOf(named)
  const fallback = variables.COMPOSE_PROJECT_NAME || folder?.split('/').findLast((part) => part !== '')
  const plain =
    fallback
      ?.toLowerCase()
      .replace(/[^a-z0-9_-]/g, '')
      .replace(/^[_-]+/, '') ?? ''
  return plain === '' ? null : plain
}

function settleService(report: Report, path: string, service: Raw, surroundings: Surroundings): Raw {
  const { env_file: named, ...rest } = service
  const { variables, folder } = surroundings
  const environment = environmentOf(report, path, service, surroundings)
  const volumes = Array.isArray(service.volumes)
    ? service.volumes.map((volume, index) => withFolder(report, `${path}.volumes[${index}]`, volume, folder, variables))
    : service.volumes
  return {
    ...rest,
    ...((!isOpen(service.environment) || !isOpen(named)) && { environment }),
    ...(volumes !== undefined && { volumes }),
  }
}

/** What stands in `environment` wins over the files, and a later file over an earlier one. */
function environmentOf(report: Report, path: string, service: Raw, { files, variables }: Surroundings): unknown {
  const field = `${path}.env_file`
  const fromFiles: Record<string, string> = {}
  for (const { name, isRequired } of filesOf(service.env_file)) {
    const text = files.get(name)
    if (text !== undefined)
      Object.assign(fromFiles, readEnvironmentFile(report, text, { ...variables, ...fromFiles }, field))
    else if (isRequired) refuse(report, field, `the file ${name} cannot be read`, 'a file beside the Compose file')
  }
  const own = pairsOf(service.environment)
  if (own === null) return service.environment
  const pairs = own.flatMap(([name, value]): readonly (readonly [string, unknown])[] => {
    if (value !== null) return [[name, value]]
    const outer = variables[name]
    if (outer === undefined && fromFiles[name] === undefined)
      warn(report, childPath(`${path}.environment`, name), 'has no value here and is left out')
    return outer === undefined ? [] : [[name, outer]]
  })
  return { ...fromFiles, ...Object.fromEntries(pairs) }
}

/** Null where it is neither an object nor a list of texts; the reader of the field says so. A name alone has null. */
function pairsOf(raw: unknown): readonly (readonly [string, unknown])[] | null {
  if (isOpen(raw)) return []
  if (isObject(raw)) return Object.entries(raw)
  if (!Array.isArray(raw) || !raw.every((item) => typeof item === 'string')) return null
  return raw.map((item: string) => {
    const cut = item.indexOf('=')
    return cut < 0 ? [item, null] : [item.slice(0, cut), item.slice(cut + 1)]
  })
}

/** A folder beside the Compose file, as an absolute path; anything else as it is. */
function withFolder(
  report: Report,
  path: string,
  volume: unknown,
  folder: string | null,
  variables: Variables,
): unknown {
  if (isObject(volume)) {
    const isBind = volume.type === 'bind' && typeof volume.source === 'string'
    return isBind ? { ...volume, source: absolute(report, path, String(volume.source), folder, variables) } : volume
  }
  if (typeof volume !== 'string' || !/^(?:\.{1,2}(?:\/|:|$)|~(?:\/|:))/.test(volume)) return volume
  const cut = volume.indexOf(':')
  if (cut < 0) return volume
  return absolute(report, path, volume.slice(0, cut), folder, variables) + volume.slice(cut)
}

function absolute(report: Report, path: string, source: string, folder: string | null, variables: Variables): string {
  if (source.startsWith('/')) return source
  const home = variables.HOME
  const base = source.startsWith('~') ? (home ?? null) : folder
  if (base === null) {
    refuse(report, path, `${source} is a folder beside the file, and nobody knows where that is`, 'an absolute path')
    return source
  }
  const parts = base.split('/').filter((part) => part !== '')
  for (const part of source.replace(/^~/, '').split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '' && part !== '.') parts.push(part)
  }
  return `/${parts.join('/')}`
}
