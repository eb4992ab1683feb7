// Who hears a publication from its author: then nobody need hand it on to them.

import type { NodeId } from './kernel/ids.ts'

/** Who may follow a topic, as far as that is known. */
export interface Hearers {
  readonly nodes: readonly NodeId[]
  /** Whether nobody else may; else these are all members of the author's own domain. */
  readonly areAll: boolean
}
