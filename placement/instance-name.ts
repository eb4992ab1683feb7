// What an instance is called outside Coppice: a folder and a container need plainer characters than `app.ns.svc.ns#0`.

import type { InstanceKey } from '../overlay/kernel/ids.ts'

/**
 * Characters in a name; file systems end at 255, and a container's name has a prefix. Four full labels do not fit:
 * that is refused.
 */
export const NAME_LENGTH_MAX = 220

/**
 * Every character that a folder or container name may not hold becomes `_` and its hexadecimal code; no two keys
 * share a name.
 */
export function plainName(key: InstanceKey): string {
  const escaped = key.replace(
    /[^a-z0-9.#-]/g,
    (character) => `_${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
  const visible = escaped.startsWith('.') ? `_002e${escaped.slice(1)}` : escaped
  return visible.replaceAll('#', '-')
}

/** The container of an instance: the end of the node's id tells apart the nodes that share an engine. */
export const containerName = (nodeId: string, key: InstanceKey): string =>
  `coppice-${nodeId.slice(-8)}-${plainName(key)}`

/** Why the instance cannot have a name, or null where it can. */
export function nameProblem(key: InstanceKey): string | null {
  const { length } = plainName(key)
  if (length <= NAME_LENGTH_MAX) return null
  const problem = `the service's name has ${length} characters, at most ${NAME_LENGTH_MAX} can run`
  return `${problem}: shorten one of its four parts`
}
