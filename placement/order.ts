// What the parent's leader asks of this domain's leader: look for a place, keep it for a while, let it go again. The
// answer is an offer with the device that keeps room, or a refusal that counts the devices and their reasons.

import { type InstanceKey, instanceKey, isDomain, type NodeId, parentOf } from '../overlay/kernel/ids.ts'
import type { Opened } from '../overlay/wire/envelope.ts'
import { compareClocks, compareFences } from '../services-registry/record.ts'
import { roomIn } from './batch.ts'
import { ORDERS_MAX, RESERVATION_MS } from './constants.ts'
import { isNameTaken, placementOf, reportOf } from './desire.ts'
import type { AskMessage, ReleaseMessage } from './messages.ts'
import { answerOffer, answerRefuse, startRound } from './negotiation.ts'
import { ownerOfAsk, specBytesOf } from './origin.ts'
import { type RefusalCode, refusal } from './refusal.ts'
import { change, type KnownSpec, NEW_WORK, type Offer, type Order, type Turn } from './scheduler-state.ts'
import { callName } from './summary.ts'
import { learnSpec } from './versions.ts'

export function onAsk(turn: Turn, opened: Opened<AskMessage>): void {
  const { state, context } = turn
  const { domain, fence, askId, service, number, specClock, avoid, to = null } = opened.message
  const { origin = null } = opened.message
  const operator = ownerOfAsk({ operator: state.operator, store: state.view.store }, opened)
  if (domain !== parentOf(state.domain) || state.view.leaders.leaderAt(domain, fence) !== opened.from) return
  const [key, room] = [instanceKey(service, number), roomIn(opened.message)]
  const refuse = (code: RefusalCode): void => {
    const devices = Math.max(1, turn.children.size)
    answerRefuse(turn, { service, number }, { askId, leader: opened.from, room }, devices, [refusal(code, '', devices)])
  }
  const known = learnSpec(state, service, specClock, specBytesOf(opened.message), { operator, origin })
  if (known === null) {
    refuse('bad-spec')
    return
  }
  if (isNameTaken(state, service)) {
    refuse('name-taken')
    return
  }
  const before = state.work.get(key)?.order ?? null
  if (before !== null && compareFences(fence, before.fence) < 0) {
    refuse('stale-fence')
    return
  }
  if (before === null && countOrders(turn) >= ORDERS_MAX) {
    refuse('busy')
    return
  }
  const until = context.now + state.timing.askDomainMs
  takeOrder(turn, key, service, number, {
    askId,
    fence,
    leader: opened.from,
    known,
    avoid,
    to,
    room,
    until,
  })
}

/** Answers from what is there, goes on with what is under way for the same spec, or begins a round. */
function takeOrder(turn: Turn, key: InstanceKey, service: AskMessage['service'], number: number, order: Order): void {
  const work = turn.state.work.get(key) ?? { ...NEW_WORK, service, number }
  if (order.known.spec.kind === 'daemon') {
    // Every device here that matches shall run it: which those are, nobody above has to know.
    answerOffer(turn, work, order, { node: turn.state.self, nodeName: '', score: 1 }, RESERVATION_MS)
    return
  }
  const running = runningNode(turn, key, order.known, order.avoid)
  if (running !== null) {
    answerOffer(turn, work, order, running, RESERVATION_MS)
    return
  }
  const { phase } = change(turn, key, work, { order })
  const isSame = (known: KnownSpec): boolean => compareClocks(known.clock, order.known.clock) === 0
  if (phase.kind === 'held' && isSame(phase.known)) {
    answerOffer(turn, work, order, phase.offer, phase.expiresAt - turn.context.now)
    return
  }
  if (phase.kind === 'asking' && isSame(phase.round.known)) return
  startRound(turn, key, order.known)
}

/** The node that runs this very spec already: it has its room and needs no asking. */
function runningNode(turn: Turn, key: InstanceKey, known: KnownSpec, avoid: readonly NodeId[]): Offer | null {
  const { state } = turn
  const placed = placementOf(state, key)
  if (placed === null || placed.child === null || isDomain(placed.child) || avoid.includes(placed.child)) return null
  if (compareClocks(placed.specClock, known.clock) !== 0) return null
  const report = reportOf(state, placed, placed.child, state.work.get(key))
  const isAlive = turn.children.get(placed.child)?.alive === true
  if (report === null || !report.live || !isAlive) return null
  const news = state.view.inventory.get(placed.child)?.news
  return { node: placed.child, nodeName: news === undefined ? '' : callName(news), score: 1 }
}

const countOrders = (turn: Turn): number => [...turn.state.work.values()].filter(({ order }) => order !== null).length

/** The parent's leader chose another, or nobody. Returns the instances to look at again. */
export function onRelease(turn: Turn, opened: Opened<ReleaseMessage>): readonly InstanceKey[] {
  const { domain, askId } = opened.message
  if (domain !== parentOf(turn.state.domain)) return []
  const released = [...turn.state.work].filter(
    ([, { order }]) => order !== null && order.askId === askId && order.leader === opened.from,
  )
  for (const [key, work] of released) change(turn, key, work, { order: null })
  return released.map(([key]) => key)
}
