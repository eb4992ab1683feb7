// What a policy may say, and what it lets onto a device.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { OperatorId } from '../overlay/kernel/ids.ts'
import { NOTHING, needOf } from './need.ts'
import { specOf } from './placement-fixtures.ts'
import { NO_POLICY, type PolicyFile, policyJsonSchema, readPolicy, withOperatorIds } from './policy.ts'
import { type Ground, mayDo, rulingFor, whyLocked, whyPolicyRefuses } from './policy-decision.ts'
import { foldOffers, othersOfferOf, whyNotOffered } from './policy-offer.ts'
import type { ServiceSpec } from './spec.ts'

const [OURS, THEIRS, THIRD] = ['ours', 'theirs', 'third'] as OperatorId[]
const owner = OURS as OperatorId
/** A Monday, 12:00 UTC. */
const MONDAY_NOON = Date.UTC(2026, 10, 23, 12)
const HOUR = 3_600_000
const capacity = { ...NOTHING, vcpus: 4, memoryMb: 4_000, storageMb: 10_000, inMbit: 100, outMbit: 100 }
const ground = (changes: Partial<Ground> = {}): Ground => ({
  owner,
  wall: MONDAY_NOON,
  power: 'mains',
  capacity,
  taken: () => ({ need: NOTHING, instances: 0 }),
  ...changes,
})
const container = (changes: Partial<ServiceSpec> = {}): ServiceSpec =>
  specOf({ runtime: 'docker', code: 'ghcr.io/acme/web:1', ...changes })

function check(
  policy: PolicyFile,
  spec: ServiceSpec,
  operator: OperatorId | null = THEIRS ?? null,
  changes: Partial<Ground> = {},
): string {
  return whyPolicyRefuses(policy, { operator, spec }, ground(changes))?.detail ?? 'allowed'
}

test('who said nothing lets others run unprivileged containers without its folders, on half of a device', () => {
  assert.equal(check(NO_POLICY, container()), 'allowed')
  assert.match(check(NO_POLICY, specOf()), /runs by process; allowed is docker/)
  assert.match(check(NO_POLICY, container({ privileged: true })), /is privileged/)
  assert.match(check(NO_POLICY, container({ volumes: ['/etc:/etc:ro'] })), /mounts \/etc/)
  assert.equal(check(NO_POLICY, container({ volumes: ['cache:/cache'] })), 'allowed', 'a volume of the engine')
  assert.match(check(NO_POLICY, container({ devices: ['/dev/video0:/dev/video1:rw'] })), /uses \/dev\/video0/)
  assert.match(check(NO_POLICY, container({ memoryMb: 2_001 })), /at most 2000 MB of memory/)
  assert.match(check(NO_POLICY, container({ vcpus: 2.5 })), /at most 2 cores/)
})

test('what is already taken under the same rule counts', () => {
  const taken = () => ({ need: needOf(container({ memoryMb: 1_500 })), instances: 3 })
  assert.match(check(NO_POLICY, container({ memoryMb: 600 }), THEIRS, { taken }), /at most 2000 MB/)
  assert.equal(check(NO_POLICY, container({ memoryMb: 500 }), THEIRS, { taken }), 'allowed')
  assert.match(check({ others: { limit: { instances: 3 } } }, container(), THEIRS, { taken }), /at most 3 instances/)
})

test('the operator itself may do everything unless it says otherwise', () => {
  const everything = specOf({ privileged: true, volumes: ['/:/host'], devices: ['/dev/kvm'], memoryMb: 4_000 })
  assert.equal(check(NO_POLICY, everything, OURS), 'allowed')
  assert.match(check({ own: { privileged: false } }, everything, OURS), /is privileged/)
})

test("whose service nobody proves is a stranger's: no rule for an operator holds for it", () => {
  const policy: PolicyFile = { rules: [{ operators: ['*'], runtimes: ['process'] }] }
  assert.equal(check(policy, specOf(), THEIRS), 'allowed')
  assert.match(check(policy, specOf(), null), /runs by process/)
})

test('the first rule that holds for operator and both namespaces decides, on the ground of the defaults', () => {
  const policy: PolicyFile = {
    rules: [
      { operators: ['theirs'], namespaces: ['lab-*'], place: false },
      { operators: ['theirs'], namespaces: ['prod'], runtimes: ['docker', 'process'], host_paths: ['/srv/data'] },
      { operators: ['theirs'], namespaces: ['music'], devices: ['/dev/snd/*'] },
    ],
  }
  assert.equal(check(policy, specOf()), 'allowed')
  assert.match(check(policy, specOf({ namespace: 'dev' })), /runs by process/, 'one namespace is not both')
  assert.match(check(policy, container({ appNamespace: 'lab-1', namespace: 'lab-2' })), /takes no such work/)
  assert.match(check(policy, specOf({ privileged: true })), /is privileged/, 'the rule says nothing of it')
  assert.equal(check(policy, container({ volumes: ['/srv/data/in:/in'] })), 'allowed')
  assert.match(check(policy, container({ volumes: ['/srv/data/../../etc:/in'] })), /mounts/)
  assert.match(check(policy, container({ volumes: ['/srv/database:/in'] })), /mounts/)
  const music = (device: string) => container({ appNamespace: 'music', namespace: 'music', devices: [device] })
  assert.equal(check(policy, music('/dev/snd/seq')), 'allowed')
  assert.match(check(policy, music('/dev/snd/../sda')), /uses \/dev\/snd\/\.\.\/sda of the device/)
  assert.match(check(policy, specOf(), THIRD), /runs by process/)
  assert.equal(rulingFor(policy, { operator: THEIRS ?? null, spec: specOf() }, owner).rule, 'rules.1')
})

test('names of operators become their ids', () => {
  const policy: PolicyFile = { rules: [{ operators: ['Green Fields'], place: false }] }
  const named = withOperatorIds(policy, [{ id: THEIRS as OperatorId, name: 'Green Fields' }])
  assert.match(check(named, container()), /takes no such work/)
  assert.equal(check(named, container(), THIRD), 'allowed')
})

test("namespaces that an operator keeps are nobody else's on its devices", () => {
  const policy: PolicyFile = { namespaces: ['prod'] }
  assert.match(check(policy, container()), /belongs to another operator/)
  assert.equal(check(policy, container(), OURS), 'allowed')
  assert.equal(check(policy, container({ appNamespace: 'x', namespace: 'x' })), 'allowed')
})

test('hours hold in the time that the policy says, over midnight too', () => {
  const at = (hours: readonly string[], wall: number, utc_offset = '+00:00') =>
    check({ others: { hours: [...hours] }, utc_offset }, container(), THEIRS, { wall }) === 'allowed'
  assert.ok(at(['mon-fri 08:00-18:00'], MONDAY_NOON))
  assert.ok(!at(['tue-sun 08:00-18:00'], MONDAY_NOON))
  assert.ok(!at(['18:00-06:00'], MONDAY_NOON))
  assert.ok(at(['18:00-06:00'], MONDAY_NOON + 17 * HOUR), 'five in the morning')
  assert.ok(at(['mon 18:00-06:00'], MONDAY_NOON + 17 * HOUR), 'that of the day before')
  assert.ok(!at(['tue 18:00-06:00'], MONDAY_NOON + 17 * HOUR))
  assert.ok(at(['14:00-15:00'], MONDAY_NOON, '+02:00'))
  assert.ok(at(['fri-mon 00:00-24:00'], MONDAY_NOON))
  assert.ok(!at([], MONDAY_NOON), 'no hours are none')
})

test('work that is bound to mains power is refused on a battery', () => {
  const policy: PolicyFile = { others: { mains_power: true } }
  assert.match(check(policy, container(), THEIRS, { power: 'battery' }), /mains power/)
  assert.equal(check(policy, container(), THEIRS, { power: null }), 'allowed', 'who does not say has no battery')
})

test('a hold takes nothing from anybody, a lock keeps what runs as it is; both end by themselves', () => {
  const hold = { until: new Date(MONDAY_NOON + HOUR).toISOString(), reason: 'audit' }
  assert.match(check({ hold }, container(), OURS), /takes nothing new: audit/)
  assert.equal(check({ hold }, container(), OURS, { wall: MONDAY_NOON + 2 * HOUR }), 'allowed')
  assert.match(check({ hold: {} }, container(), OURS), /takes nothing new/)
  const locks = [{ namespaces: ['prod'], until: hold.until }]
  assert.match(whyLocked({ locks }, specOf(), MONDAY_NOON)?.detail ?? '', /not to be changed/)
  assert.equal(whyLocked({ locks }, specOf(), MONDAY_NOON + 2 * HOUR), null)
  assert.equal(whyLocked({ locks }, specOf({ namespace: 'dev' }), MONDAY_NOON), null)
})

test('what others may do with services of the operator is nothing unless it is said', () => {
  const applicant = { operator: THEIRS ?? null, spec: specOf() }
  for (const deed of ['reach', 'logs', 'exec'] as const) {
    assert.equal(mayDo(NO_POLICY, deed, applicant, owner), false)
    assert.equal(mayDo(NO_POLICY, deed, { ...applicant, operator: owner }, owner), true)
  }
  const policy: PolicyFile = { rules: [{ operators: ['theirs'], may: ['reach'] }] }
  assert.equal(mayDo(policy, 'reach', applicant, owner), true)
  assert.equal(mayDo(policy, 'logs', applicant, owner), false)
})

test('a policy file that says something else is refused by the name of the field', () => {
  const problem = (value: unknown): string => {
    const read = readPolicy(JSON.stringify(value))
    return read.ok ? 'ok' : read.error.map((one) => `${one.field} ${one.problem}`).join()
  }
  assert.equal(problem({}), 'ok')
  assert.match(problem({ others: { runtime: ['docker'] } }), /others.*runtime/)
  assert.match(problem({ others: { hours: ['always'] } }), /others\.hours\.0 expected hours/)
  assert.match(problem({ others: { limit: { cpu_share: 2 } } }), /others\.limit\.cpu_share/)
  assert.match(problem({ hold: { until: 'tomorrow' } }), /hold\.until/)
  assert.match(problem({ utc_offset: '+25:00' }), /utc_offset/)
  const read = readPolicy('{')
  assert.ok(!read.ok && /not JSON/.test(read.error[0]?.problem ?? ''))
  assert.equal((policyJsonSchema() as { readonly type: string }).type, 'object')
})

const grant = fc.record(
  {
    place: fc.boolean(),
    runtimes: fc.subarray(['docker', 'process', '*']),
    privileged: fc.boolean(),
    mains_power: fc.boolean(),
    hours: fc.subarray(['08:00-18:00', 'sat 00:00-24:00']),
  },
  { requiredKeys: [] },
)

test('a device never tells that it takes less from others than it takes', () => {
  const rules = fc.array(fc.tuple(grant, fc.subarray(['ours', 'theirs', 'third'], { minLength: 1 })), { maxLength: 3 })
  fc.assert(
    fc.property(
      grant,
      rules,
      fc.boolean(),
      fc.constantFrom('docker', 'process'),
      (others, list, privileged, runtime) => {
        const policy = { others, rules: list.map(([one, operators]) => ({ ...one, operators })) }
        const spec = specOf({ privileged, runtime })
        const offer = othersOfferOf(policy, ground())
        const isTaken = check(policy, spec) === 'allowed'
        if (isTaken) assert.equal(whyNotOffered(foldOffers([offer]), spec), null)
      },
    ),
    { seed: 20261122, numRuns: 500 },
  )
})
