// What opens a registry of images: whom a reference belongs to, and when a pull was refused for want of a login.

export interface RegistryLogin {
  /** As `registryOf` names it. */
  readonly registry: string
  readonly username: string
  readonly password: string
}

/** What brings logins to a runtime: those that it may use for an instance, best first. */
export interface RegistryLogins {
  /** A login of this device's own for the service of an instance; null where it has none that the service may use. */
  own(registry: string, service: string, signal: AbortSignal): Promise<RegistryLogin | null>
  /** Those of the operator's other devices, one after the other. */
  others(registry: string, service: string, number: number, signal: AbortSignal): AsyncIterable<RegistryLogin>
}

/** The registry of references that name none. */
const DOCKER_HUB = 'docker.io'
/** Other names of it, as `docker login` and its configuration know them. */
const DOCKER_HUB_ALIASES = ['index.docker.io', 'registry-1.docker.io', 'registry.hub.docker.com']

/** Characters of a registry's name: a DNS name of 253 and a port. */
export const REGISTRY_CHARS_MAX = 259
export const USERNAME_CHARS_MAX = 255
/** Tokens that stand for passwords are long; the longest in use (Google's, Amazon's) have some 2,500 characters. */
export const PASSWORD_CHARS_MAX = 8_192

const HOST = /^(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*|\[[0-9a-f:.]+\])(?::\d{1,5})?$/

/** The registry that an image reference names: its first part, where that is a host (as Docker tells the two apart). */
export function registryOf(reference: string): string {
  const [first = '', ...rest] = reference.split('/')
  const isHost = rest.length > 0 && (/[.:]/.test(first) || first === 'localhost' || first !== first.toLowerCase())
  return isHost ? settled(first.toLowerCase()) : DOCKER_HUB
}

/** A registry as people name it, `https://` and a path included; null when it is no host. */
export function readRegistry(text: string): string | null {
  const host = text
    .trim()
    .toLowerCase()
    .replace(/^https?:\/\//, '')
    .replace(/\/.*$/, '')
  return host.length <= REGISTRY_CHARS_MAX && HOST.test(host) ? settled(host) : null
}

const settled = (host: string): string => (DOCKER_HUB_ALIASES.includes(host) ? DOCKER_HUB : host)

/**
 * Whether a pull was refused for want of a login, or for a wrong one. Registries hide what is private behind "does not
 * exist", which the engine words as "denied".
 */
export const isDenied = (problem: string): boolean =>
  /no basic auth credentials|unauthorized|authentication required|denied|forbidden|\b40[13]\b/i.test(problem)
