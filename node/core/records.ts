// The stores of a node: its cluster's always, and one of each domain above whose records it holds as an elector. What
// became of an instance that a parent placed here goes up, in the envelope of the node that runs it.

import type { LeaderBookView } from '../../election/index.ts'
import {
  type ChildId,
  chainOf,
  childTowards,
  type DomainPath,
  isDomain,
  isWithin,
  type NodeId,
  parentOf,
  type ServiceId,
} from '../../overlay/kernel/ids.ts'
import type { StepContext } from '../../overlay/kernel/machine.ts'
import { earlier, type Millis } from '../../overlay/kernel/time.ts'
import type { Opened, SignerFacts } from '../../overlay/wire/envelope.ts'
import {
  createGathering,
  createStore,
  type GatheringInput,
  gatheringWakeAt,
  isInstance,
  isPlacement,
  isSpec,
  numberIn,
  type RegistryMessage,
  type SealedRecord,
  type SpecRecord,
  type StoreEffect,
  type StoreInput,
  type StorePreset,
  type StoreState,
  type StoreView,
  slotOf,
  stepGathering,
  stepStore,
  storePrefix,
  storeWakeAt,
} from '../../services-registry/index.ts'
import type { CoreEffect, CoreInput } from './effects.ts'
import type { Sink } from './news.ts'

export interface RecordsOptions {
  readonly self: SignerFacts
  readonly preset: StorePreset
  readonly book: LeaderBookView
  /** What the disk held, by domain. */
  readonly loaded: ReadonlyMap<DomainPath, readonly SealedRecord[]>
  /** The members of the own cluster that are here. */
  readonly members: () => readonly NodeId[]
  /** Whether this node leads a domain: then it tells the others what it passes between the stores. */
  readonly leads: (domain: DomainPath) => boolean
}

/**
 * What is known of a service in a domain changed; `record` is null when nothing is known any more, `number` where it is
 * not about one instance alone.
 */
export interface RecordNews {
  readonly kind: 'record-news'
  readonly domain: DomainPath
  readonly service: ServiceId
  readonly number: number | null
  readonly record: SealedRecord | null
}

export interface Records {
  /**
   * The domains whose records are held from now on; the cluster is always among them. Returns the specs that this node
   * was the first to take in, of domains that it holds no longer: perhaps nobody else has them.
   */
  hold(domains: readonly DomainPath[], connected: readonly NodeId[], ...turn: RecordTurn): readonly SealedRecord[]
  held(): readonly DomainPath[]
  /**
   * Specs of this node in stores that are not open after a start: it had its vote when it took them in, and perhaps
   * nobody else has them. Each is handed to `submit` once, which keeps it from then on.
   */
  handOn(submit: (record: SealedRecord) => void, out: CoreEffect[]): void
  /** Grows whenever another spec may count, of any service: what is made of specs need not be made anew before. */
  specRevision(): number
  store(domain: DomainPath): StoreState | null
  view(domain: DomainPath): StoreView | null
  /** A record of this node's own making, or one that came on a domain's topic. */
  onRecord(opened: SealedRecord, gossipedIn: DomainPath | null, from: NodeId, ...turn: RecordTurn): void
  onMessage(opened: Opened<RegistryMessage>, ...turn: RecordTurn): void
  /** A record is kept, and others are to hear of it. */
  onKept(kept: Extract<CoreInput, { readonly kind: 'gossip' }>, context: StepContext, out: CoreEffect[]): void
  /** A spec that its author brought is on the disk. */
  onSynced(synced: Extract<CoreInput, { readonly kind: 'synced' }>, ...turn: RecordTurn): void
  /** Specs that their authors brought and that are on their way to the disk. */
  settling(): readonly SealedRecord<SpecRecord>[]
  /** To every store. */
  tell(input: StoreInput, ...turn: RecordTurn): void
  /** Who leads or elects in a domain changed, and so perhaps who else holds what. */
  onHolders(changed: DomainPath, ...turn: RecordTurn): void
  /** A member is here, or not any more. */
  onMember(node: NodeId, isHere: boolean, ...turn: RecordTurn): void
  onWake(...turn: RecordTurn): void
  wakeAt(): Millis | null
}

export type RecordTurn = readonly [context: StepContext, out: CoreEffect[], news: Sink<RecordNews>]

export function createRecords({ self, preset, book, loaded, members, leads }: RecordsOptions): Records {
  const stores = new Map<DomainPath, StoreState>()
  /** What the disk holds of each store that is not open: at first what was read at the start. */
  const closed = new Map<DomainPath, readonly SealedRecord[]>(loaded)
  /** The services whose spec came here from its author, by domain. */
  const takenIn = new Map<DomainPath, Set<ServiceId>>()
  let specRevision = 0
  /** Who holds the records of a domain above, by its children. */
  const holdersBelow = new Map<DomainPath, Map<DomainPath, ReadonlySet<NodeId>>>()

  const gathering = createGathering()

  /** One record goes as its owner sealed it; several go in a message of this node, each as its owner sealed it. */
  const gather = (input: GatheringInput, context: StepContext, out: CoreEffect[]): void => {
    for (const { domain, records } of stepGathering(gathering, input, context).effects) {
      const topics = [{ domain, topic: 'record' as const }]
      const [opened, ...more] = records
      if (opened === undefined) continue
      if (more.length === 0) out.push({ kind: 'spread', opened, topics })
      else out.push({ kind: 'author', message: { kind: 'registry/gossip', domain, records }, topics })
    }
  }

  const noteTakenIn = (domain: DomainPath, { message }: SealedRecord): void => {
    if (message.kind !== 'record/spec' || !stores.has(domain)) return
    takenIn.set(domain, (takenIn.get(domain) ?? new Set<ServiceId>()).add(message.service))
  }

  const giveUp = (domain: DomainPath): readonly SealedRecord[] => {
    const store = stores.get(domain)
    if (store === undefined) return []
    const settling = settlingIn(store)
    closed.set(domain, [...[...store.table.entries.values()].map(({ record }) => record), ...settling])
    const services = takenIn.get(domain) ?? new Set()
    stores.delete(domain)
    takenIn.delete(domain)
    const isOurs = ({ from, message }: SealedRecord): boolean => from === self.node || services.has(message.service)
    return [...store.view.specs(), ...settling].filter(isOurs)
  }

  const feed = (domain: DomainPath, input: StoreInput, ...turn: RecordTurn): void => {
    const state = stores.get(domain)
    if (state === undefined) return
    const stepped = stepStore(state, input, turn[0])
    stores.set(domain, stepped.state)
    for (const effect of stepped.effects) carryOut(effect, ...turn)
  }

  const carryOut = (effect: StoreEffect, ...[context, out, news]: RecordTurn): void => {
    if (effect.kind !== 'record-changed') {
      out.push(...translated(effect))
      return
    }
    const { domain, service, record } = effect
    if (record === null || isSpec(record)) specRevision += 1
    news.push({ kind: 'record-news', domain, service, number: numberIn(record), record })
    if (record !== null) passOn(domain, record, context, out, news)
  }

  /**
   * What became of an instance that the parent placed here is reported above; a placement may come after the report it
   * is for.
   */
  const passOn = (domain: DomainPath, record: SealedRecord, ...turn: RecordTurn): void => {
    if (isInstance(record)) return passUp(domain, record, ...turn)
    const below = domainBelow(domain, self.domain)
    const view = below === null ? undefined : stores.get(below)?.view
    if (below === null || view === undefined || !isPlacement(record)) return
    const { service, number, each } = record.message
    const meant = each === true ? view.instances(service) : view.instancesOf(service, number)
    for (const instance of meant) passUp(below, instance, ...turn)
  }

  const passUp = (domain: DomainPath, record: SealedRecord, ...turn: RecordTurn): void => {
    const parent = parentOf(domain)
    const above = parent === null ? undefined : stores.get(parent)
    if (parent === null || above === undefined || !isInstance(record)) return
    const isOfParent = above.view.placements(record.message.service).length > 0
    if (isOfParent) feed(parent, handedOver(record, domain), ...turn)
  }

  /** Everyone who holds both stores does this for itself; only the leader publishes, or all would say the same. */
  const handedOver = (record: SealedRecord, domain: DomainPath): StoreInput => ({
    kind: 'record',
    opened: record,
    from: leads(domain) ? null : record.from,
  })

  const translated = (effect: StoreEffect): CoreEffect[] => {
    switch (effect.kind) {
      case 'persist':
        return [{ ...effect, then: effect.then.flatMap(translated) }]
      case 'publish-sealed':
        return [{ kind: 'again', input: { kind: 'gossip', domain: effect.domain, opened: effect.opened } }]
      case 'synced':
        return [{ kind: 'again', input: effect }]
      case 'send': {
        const to = book.nodeOf(effect.to)
        return to === null ? [] : [{ kind: 'send', to, message: effect.message }]
      }
      case 'author':
        return [{ kind: 'author', message: effect.record, topics: [] }]
      case 'leader-wanted': {
        const { epoch, term } = effect.fence
        const ask = { kind: 'election/proof-wanted', domain: effect.domain, epoch, term } as const
        return effect.from === null ? [] : [{ kind: 'send', to: effect.from, message: ask }]
      }
      case 'record-refused': {
        const { code, domain, key, from } = effect
        const event = { name: 'record-refused', level: 'debug' as const, domain, fields: { code, key, from } }
        return [{ kind: 'emit', event }]
      }
      case 'emit':
        return [effect]
      case 'record-changed':
        return []
    }
  }

  /** The electors of each child of a domain, down to nodes, as far as they are known; in the cluster its members. */
  const holdersOf = (domain: DomainPath): readonly NodeId[] => {
    if (domain === self.domain) return members()
    const children = [...book.domains()].filter((child) => parentOf(child) === domain)
    const below = new Map(children.map((child) => [child, new Set(nodesBelow(child))]))
    holdersBelow.set(domain, below)
    return [...new Set([...below.values()].flatMap((nodes) => [...nodes]))]
  }

  /** Who came to hold a domain's records and who does not any more, now that a child has other leaders or electors. */
  const noteHolders = (domain: DomainPath, child: DomainPath, ...turn: RecordTurn): void => {
    const below = holdersBelow.get(domain) ?? new Map<DomainPath, ReadonlySet<NodeId>>()
    const [before, after] = [below.get(child) ?? NOBODY, new Set(nodesBelow(child))]
    holdersBelow.set(domain, below.set(child, after))
    for (const node of before) {
      const isElsewhere = [...below.values()].some((nodes) => nodes.has(node))
      if (!isElsewhere) feed(domain, { kind: 'holder', node, isThere: false }, ...turn)
    }
    for (const node of after) if (!before.has(node)) feed(domain, { kind: 'holder', node, isThere: true }, ...turn)
  }

  const nodesBelow = (child: ChildId): readonly NodeId[] => {
    if (!isDomain(child)) return [child]
    const announcement = book.leaderOf(child)?.announcement
    return announcement === undefined ? [] : [announcement.node, ...announcement.electors.flatMap(nodesBelow)]
  }

  return {
    hold: (domains, connected, ...turn) => {
      specRevision += 1
      const left = [...stores.keys()].filter((domain) => !domains.includes(domain)).flatMap(giveUp)
      for (const domain of domains) {
        if (stores.has(domain)) continue
        const options = { domain, self, loaded: closed.get(domain) ?? [], leaders: book, preset }
        stores.set(domain, createStore(options, turn[0]))
        closed.delete(domain)
        feed(domain, { kind: 'holders', nodes: holdersOf(domain) }, ...turn)
        for (const peer of connected) feed(domain, { kind: 'connected', peer }, ...turn)
      }
      return left
    },
    held: () => [...stores.keys()],
    handOn: (submit, out) => {
      const isOwn = (record: SealedRecord): boolean => isSpec(record) && record.from === self.node
      for (const [domain, records] of closed) {
        for (const record of records.filter(isOwn)) {
          submit(record)
          out.push({ kind: 'persist', key: storePrefix(domain) + slotOf(record), value: null, sync: false, then: [] })
        }
        closed.set(
          domain,
          records.filter((record) => !isOwn(record)),
        )
      }
    },
    specRevision: () => specRevision,
    store: (domain) => stores.get(domain) ?? null,
    view: (domain) => stores.get(domain)?.view ?? null,
    onRecord: (opened, gossipedIn, from, ...turn) => {
      const origin = from === self.node ? null : from
      const into = gossipedIn ?? opened.message.domain
      if (origin === null) noteTakenIn(into, opened)
      feed(into, { kind: 'record', opened, from: origin }, ...turn)
    },
    onMessage: (opened, ...turn) => {
      const { message } = opened
      if (message.kind === 'registry/push') noteTakenIn(message.domain, message.record)
      feed(opened.message.domain, { kind: 'message', opened }, ...turn)
    },
    onKept: ({ domain, opened }, context, out) => gather({ kind: 'record', domain, opened }, context, out),
    onSynced: ({ domain, record }, ...turn) => feed(domain, { kind: 'synced', record }, ...turn),
    settling: () => [...stores.values()].flatMap(settlingIn),
    tell: (input, ...turn) => {
      for (const domain of [...stores.keys()]) feed(domain, input, ...turn)
    },
    onHolders: (changed, ...turn) => {
      for (const domain of [...stores.keys()]) {
        if (domain !== self.domain && domain !== changed && isWithin(changed, domain))
          noteHolders(domain, childTowards(domain, changed, self.node) as DomainPath, ...turn)
      }
    },
    onMember: (node, isHere, ...turn) => feed(self.domain, { kind: 'holder', node, isThere: isHere }, ...turn),
    onWake: (...turn) => {
      gather({ kind: 'wake' }, turn[0], turn[1])
      for (const [domain, state] of [...stores]) {
        const due = storeWakeAt(state)
        if (due !== null && due <= turn[0].now) feed(domain, { kind: 'wake' }, ...turn)
      }
    },
    wakeAt: () => {
      let at = gatheringWakeAt(gathering)
      for (const state of stores.values()) at = earlier(at, storeWakeAt(state))
      return at
    },
  }
}

const settlingIn = ({ settling }: StoreState): readonly SealedRecord<SpecRecord>[] =>
  [...settling.values()].map(({ record }) => record)

const NOBODY: ReadonlySet<NodeId> = new Set()

/** The child domain of `domain` on the way to the cluster; null in the cluster itself. */
function domainBelow(domain: DomainPath, cluster: DomainPath): DomainPath | null {
  if (domain === cluster || !chainOf(cluster).includes(domain)) return null
  return childTowards(domain, cluster, '' as NodeId) as DomainPath
}
