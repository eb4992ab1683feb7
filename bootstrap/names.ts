// What two federations call things: where both use one name for two things, somebody has to choose before they become
// one. The asking side shows its names, the other side says which of them it uses for something else.

import { type Infer, list, literal, object, text } from '../overlay/wire/schema.ts'

/** Names in one question (a relation: at their longest they fit in a request of 16 KiB). */
export const NAMES_PER_SURVEY_MAX = 40

const NAME_KINDS = ['service', 'device', 'cluster', 'secret', 'policy'] as const
export type NameKind = (typeof NAME_KINDS)[number]

/** A thing by its name; two of one name and one mark are one thing. */
export const namedSchema = object({
  of: literal(...NAME_KINDS),
  name: text(255),
  /** Of a service the clock of its version, of a device its id, of a secret when it was set. */
  mark: text(96),
})
export type Named = Infer<typeof namedSchema>
export const namesSchema = list(namedSchema, NAMES_PER_SURVEY_MAX)

/**
 * What is the matter where both federations use a name. `blocks` where two things cannot both go on under it; the
 * others can, and a person may say that this is wanted.
 */
export interface Collision {
  readonly of: NameKind
  readonly name: string
  readonly blocks: boolean
  readonly problem: string
}

const PROBLEMS: Readonly<Record<NameKind, Pick<Collision, 'blocks' | 'problem'>>> = {
  service: {
    blocks: true,
    problem: 'both federations have a service of that name; remove one, or deploy it under another',
  },
  device: { blocks: false, problem: 'two devices would have one name; they are told apart by their ids' },
  cluster: { blocks: false, problem: 'the two clusters of that path would become one' },
  secret: { blocks: false, problem: 'both have a secret of that name; the one that was set last would count' },
  policy: { blocks: false, problem: 'the operator has set a policy in both; that of the other federation goes on' },
}

const keyOf = ({ of, name }: Named): string => `${of} ${name}`

/** Those of the names asked about that are known here for another thing. */
export function takenNames(asked: readonly Named[], known: readonly Named[]): readonly Named[] {
  const marks = new Map<string, Set<string>>()
  for (const one of known) marks.set(keyOf(one), (marks.get(keyOf(one)) ?? new Set()).add(one.mark))
  return asked.filter((one) => [...(marks.get(keyOf(one)) ?? [])].some((mark) => mark !== one.mark))
}

export const collisionsOf = (taken: readonly Named[]): readonly Collision[] =>
  taken
    .map(({ of, name }) => ({ of, name, ...PROBLEMS[of] }))
    .sort((a, b) => Number(b.blocks) - Number(a.blocks) || (`${a.of} ${a.name}` < `${b.of} ${b.name}` ? -1 : 1))

/** The names in questions that each fit in one request. */
export function inQuestions(names: readonly Named[]): readonly (readonly Named[])[] {
  const questions: (readonly Named[])[] = []
  for (let at = 0; at < names.length || at === 0; at += NAMES_PER_SURVEY_MAX) {
    questions.push(names.slice(at, at + NAMES_PER_SURVEY_MAX))
  }
  return questions
}
