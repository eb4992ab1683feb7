// Who may call a service: those of its own namespace, whomever its descriptor names, and the people of a device. Both
// ends ask the same question, so that the caller hears the reason and the serving node need not trust the caller's node
// to have asked.

import type { ServiceId } from './kernel/ids.ts'

/** Stands for every namespace in a descriptor's `callers`. */
export const ANY_CALLER = '*'

/** The namespace that an instance of a service calls from: `app.namespace` of its application. */
export function namespaceOf(service: ServiceId): string {
  const [app = '', appNamespace = ''] = service.split('.')
  return `${app}.${appNamespace}`
}

/**
 * Null when a caller may reach a service, otherwise the sentence that says why not. `caller` is the `app.namespace`
 * that it calls from, empty for a person on a device. `callers` is what the descriptor adds to the service's own
 * namespace: a namespace, `app.namespace`, or `*`.
 */
export function whyNotCall(caller: string, service: ServiceId, callers: readonly string[]): string | null {
  if (caller === '') return null
  const [, ownNamespace = ''] = service.split('.')
  const [, callerNamespace = ''] = caller.split('.')
  if (callerNamespace === ownNamespace) return null
  if (callers.some((allowed) => [ANY_CALLER, callerNamespace, caller].includes(allowed))) return null
  const also = callers.length === 0 ? '' : ` and from ${callers.join(', ')}`
  const remedy = `add "${callerNamespace}" to "callers" in its descriptor`
  return `${service} may be called from the namespace "${ownNamespace}"${also}, not from "${caller}"; ${remedy}`
}
