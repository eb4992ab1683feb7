// Why two members stay connected through a relay, as a code for programs and a sentence for people. Whatever went wrong
// in an attempt comes down to one of these: what a library says of its streams tells nobody why.

export type NotDirectCode =
  | 'trying'
  | 'symmetric-nat'
  | 'blocked'
  | 'address-family'
  | 'unobserved'
  | 'busy'
  | 'timed-out'
  | 'broken-off'
  | 'unreadable'

export interface NotDirect {
  readonly code: NotDirectCode
  readonly sentence: string
}

type Side = 'own' | 'other'

/** Whoever is not found here says no more than that it is this node, or the other side. */
const SENTENCES: Readonly<Record<NotDirectCode, Readonly<Record<Side, string>>>> = {
  trying: both('connected through a relay; a direct path is being tried'),
  'symmetric-nat': {
    own: 'the NAT on this side gives each destination another port (symmetric), which the other side cannot know',
    other: 'the NAT on its side gives each destination another port (symmetric), which the other side cannot know',
  },
  blocked: both('no connection came about when both sides dialled at once; a firewall in between drops it'),
  'address-family': both('one side is reached over IPv6 only and the other over IPv4 only'),
  unobserved: {
    own: 'no member answers that could say how this node is seen from outside; it is tried again',
    other: 'no member answers that could say how the other side is seen from outside; it is tried again',
  },
  busy: {
    own: 'this node tries to reach too many others at once; it is tried again',
    other: 'the other side tries to reach too many others at once; it is tried again',
  },
  'timed-out': both('the two sides did not agree in time on when to dial each other; it is tried again'),
  'broken-off': both('a connection broke off while the two sides agreed on when to dial each other; it is tried again'),
  unreadable: both('the other side answered with nothing that could be dialled'),
}

function both(sentence: string): Readonly<Record<Side, string>> {
  return { own: sentence, other: sentence }
}

const CODES = Object.keys(SENTENCES) as readonly NotDirectCode[]
export const isNotDirectCode = (value: unknown): value is NotDirectCode => CODES.includes(value as NotDirectCode)

/** Why an attempt at a direct path came to nothing. */
export class NoDirectPath extends Error implements NotDirect {
  override readonly name = 'NoDirectPath'
  readonly code: NotDirectCode
  readonly sentence: string
  /** Whether another attempt would come to nothing either, as long as both stay in their networks. */
  readonly isFinal: boolean

  constructor(code: NotDirectCode, { side = 'own', sentence = SENTENCES[code][side], isFinal = false }: Details = {}) {
    super(sentence)
    this.code = code
    this.sentence = sentence
    this.isFinal = isFinal
  }
}

interface Details {
  readonly side?: Side
  readonly sentence?: string
  readonly isFinal?: boolean
}

/** Of these nothing is learned of the path: the two sides have not come to dial each other. */
const UNREADY: ReadonlySet<NotDirectCode> = new Set(['trying', 'unobserved', 'busy', 'timed-out', 'broken-off'])
export const isUnready = (problem: unknown): boolean => problem instanceof NoDirectPath && UNREADY.has(problem.code)

/** Until an attempt has failed. */
export const STILL_TRYING: NotDirect = { code: 'trying', sentence: SENTENCES.trying.own }

/** The reason in whatever ended an attempt. */
export function whyNotDirect(problem: unknown): NoDirectPath {
  if (problem instanceof NoDirectPath) return problem
  const name = problem instanceof Error ? problem.name : ''
  return new NoDirectPath(name === 'TimeoutError' || name === 'AbortError' ? 'timed-out' : 'broken-off')
}
