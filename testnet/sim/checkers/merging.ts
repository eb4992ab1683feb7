// In which order versions of a fact meet never matters: whatever pairs are merged first, the same version stays.

import type { CoreMessage } from '../../../node/core/effects.ts'
import { type Random, shuffled } from '../../../overlay/kernel/random.ts'
import type { Opened } from '../../../overlay/wire/envelope.ts'
import { merge } from '../../../services-registry/merge.ts'
import type { SealedRecord } from '../../../services-registry/record.ts'
import { isSameRecord, slotOf } from '../../../services-registry/version.ts'
import { BrokenRule, type SafetyChecker } from './checker.ts'

/** Versions of one fact that are kept for the end; the earliest make room. */
const VERSIONS_MAX = 32

export function checkMerging(random: Random): SafetyChecker {
  const versions = new Map<string, SealedRecord[]>()
  return {
    onSealed: (_device, opened) => {
      if (!isRecord(opened)) return
      const slot = slotOf(opened)
      const known = versions.get(slot) ?? []
      const last = known.at(-1)
      if (last !== undefined && !isSameRecord(merge(last, opened), merge(opened, last))) refuse(slot)
      known.push(opened)
      if (known.length > VERSIONS_MAX) known.shift()
      versions.set(slot, known)
    },
    onEnd: () => {
      for (const [slot, known] of versions) {
        const [one, other] = [known, shuffled(random, known)].map((order) => order.reduce(merge))
        const paired = known.reduceRight((later, earlier) => merge(merge(earlier, later), later))
        const isSame = [other, paired].every((end) => isSameRecord(end as SealedRecord, one as SealedRecord))
        if (!isSame) refuse(slot)
      }
    },
  }
}

const isRecord = (opened: Opened<CoreMessage>): opened is SealedRecord => opened.message.kind.startsWith('record/')

function refuse(slot: string): never {
  throw new BrokenRule('merge-order', `what stays of ${slot} depends on the order of merging`)
}
