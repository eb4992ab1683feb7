// The step from one federation into another, on the disk of one device: between the end of the node in the old and its
// start in the new one. It is one write, so a power cut leaves the device a member of one of the two. Keys, instances,
// secrets, settings and the incarnation stay as they are.

import {
  type Accepted,
  loadMembership,
  type Membership,
  type NodeKey,
  openPassage,
  PASSAGE_BEGUN_KEY,
  PASSAGE_KEY,
  type Passage,
  POLICY_KEY,
} from '../../bootstrap/index.ts'
import { packMembership } from '../../bootstrap/io/membership.ts'
import { memberKeyPrefix } from '../../overlay/membership/index.ts'
import { encodeCbor } from '../../overlay/wire/codec.ts'
import { carriedOver, decodeKept, KEPT_PREFIX } from '../../placement/index.ts'
import type { CoreView } from '../core/core-view.ts'
import type { Disk } from '../io/disk.ts'
import { SEEDS_KEY } from '../io/membership-copy.ts'
import { carriedKey, carriedSpecs, encodeCarried } from './carried.ts'

/** What was signed for the old federation, or is about it alone. */
const LEFT_BEHIND = [
  'store/',
  'outbox/',
  'leaders/',
  'election/',
  'bootstrap/invite/',
  'bootstrap/credential/',
  'bootstrap/drafts',
  'bootstrap/policy',
]

/** Several writes as one: the disk gathers what is asked for in one turn. Resolves once it is on the disk. */
function writeAll(disk: Disk, writes: readonly Write[]): Promise<void> {
  return new Promise((resolve) => {
    for (const [key, value] of writes.slice(0, -1)) disk.write(key, value, false, () => undefined)
    const [key, value] = writes.at(-1) ?? ['', null]
    disk.write(key, value, true, resolve)
  })
}

/** From its next start on the device is in the other federation; what it holds of services is written down for then. */
export async function beginCrossing(disk: Disk, view: CoreView, orderedAt: number, wall: number): Promise<void> {
  const carried = carriedSpecs(view.stores(), view.unaccepted(), view.self.operator, orderedAt)
  const begun = new TextEncoder().encode(String(Math.floor(wall)))
  await writeAll(disk, [
    ...carried.map((record) => [carriedKey(record), encodeCarried(record)] as const),
    [PASSAGE_BEGUN_KEY, begun],
  ])
}

/** Takes the step, where it was begun. Returns whether it did; a passage that is not good is dropped. */
export async function crossOver(disk: Disk, nodeKey: NodeKey): Promise<boolean> {
  const begun = await disk.get(PASSAGE_BEGUN_KEY)
  const packed = await disk.get(PASSAGE_KEY)
  if (begun === null || packed === null) return false
  const membership = await loadMembership(disk, nodeKey)
  // It was good when it was begun: a device that was off for a week since then is still meant.
  const wall = Number(new TextDecoder().decode(begun))
  const opened =
    membership === null ? null : await openPassage(packed, { membership, charter: membership.charter.view, wall })
  if (membership === null || opened === null || !opened.ok) {
    await writeAll(disk, [
      [PASSAGE_KEY, null],
      [PASSAGE_BEGUN_KEY, null],
    ])
    return false
  }
  const kept = [...(await disk.scan(KEPT_PREFIX))].flatMap(([key, value]) => {
    const read = decodeKept(value)
    return read.ok ? [[key, carriedOver(read.value)] as const] : []
  })
  await stepOver(disk, membership, opened.value, kept)
  return true
}

/**
 * A device that was away while the others went over comes after them, by an invite of the federation there. What it ran
 * is the others' affair by now: it is ended at the next start, unless a leader there has it run here.
 */
export async function comeAfter(
  disk: Disk,
  membership: Membership,
  accepted: Accepted,
  seeds: readonly string[],
): Promise<void> {
  const kept = [...(await disk.scan(KEPT_PREFIX)).keys()].map((key) => [key, null] as const)
  await stepOver(disk, membership, { ...accepted, seeds, policy: null }, kept)
}

type Write = readonly [string, Uint8Array | null]

async function stepOver(
  disk: Disk,
  membership: Membership,
  { charter, credential, seeds, policy }: Accepted & Pick<Passage, 'seeds' | 'policy'>,
  kept: readonly Write[],
): Promise<void> {
  const left = await Promise.all(
    [...LEFT_BEHIND, memberKeyPrefix(membership.domain)].map((prefix) => disk.scan(prefix)),
  )
  await writeAll(disk, [
    ...left.flatMap((found) => [...found.keys()].map((key) => [key, null] as const)),
    ...kept,
    ...packMembership(charter, credential),
    [SEEDS_KEY, encodeCbor(seeds)],
    ...(policy === null ? [] : [[POLICY_KEY, new TextEncoder().encode(policy)] as const]),
    [PASSAGE_KEY, null],
    [PASSAGE_BEGUN_KEY, null],
  ])
}
