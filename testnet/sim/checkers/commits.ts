// What a leader calls committed stands on the disks of a majority of its electors, under the tickets by which they are
// electors. Read from the disks, not from what anybody says. Above a cluster the disk is the child's own register, so
// there the rule of `registers.ts` has to do.

import {
  compareVersions,
  electorIds,
  majorityOf,
  type Register,
  type RegisterVersion,
} from '../../../election/register.ts'
import { isDomain } from '../../../overlay/kernel/ids.ts'
import { checkedBody } from '../../../overlay/wire/checksum.ts'
import { decodeBounded } from '../../../overlay/wire/codec.ts'
import { BrokenRule, type DeviceView, type SafetyChecker } from './checker.ts'

/** As far as it is looked at. */
export interface Saved {
  readonly epoch: number
  readonly term: number
  readonly votedFor: string | null
  readonly ticket: string
  readonly register: Register | null
}

/** The vote file of an election, null where it cannot be read. */
export function readSaved(value: Uint8Array): Saved | null {
  const body = checkedBody(value)
  const read = body.ok ? decodeBounded(body.value) : body
  return read.ok ? (read.value as Saved) : null
}

type Electors = Register['electors']

interface Seen {
  /** Null for who was elected and has committed nothing in its term yet. */
  readonly committed: RegisterVersion | null
  readonly electors: Electors
}

export function checkCommits(): SafetyChecker {
  /** The newest version that was ever on a disk, by child, ticket and line. */
  const written = new Map<string, RegisterVersion>()
  const seen = new Map<DeviceView, Seen>()
  const nameOf = (child: string, ticket: string, line: string): string => `${child} ${ticket} ${line}`

  const holders = (electors: Electors, line: string, version: RegisterVersion): number =>
    electors.filter(({ child, ticket }) => {
      const held = written.get(nameOf(child, ticket, line))
      return held !== undefined && compareVersions(held, version) >= 0
    }).length

  return {
    onDurable: (device, key, value) => {
      if (value === null || !key.startsWith('election/')) return
      const saved = readSaved(value)
      if (saved === null || saved.register === null) return
      const { line, epoch, term, index } = saved.register
      const name = nameOf(device.node, saved.ticket, line)
      const before = written.get(name)
      const now = { epoch, term, index }
      if (before === undefined || compareVersions(now, before) > 0) written.set(name, now)
    },
    onSeats: (device) => {
      const seat = device.core?.view.seats()[0]
      if (seat === undefined || isDomain(seat.self) || seat.state.role.kind !== 'leader')
        return void seen.delete(device)
      const { role, register, epoch, term } = seat.state
      if (register === null) return
      const committed = role.established ? { epoch, term, index: role.committedIndex } : null
      const before = seen.get(device)
      seen.set(device, { committed, electors: register.electors })
      const last = before?.committed ?? null
      if (committed === null || (last !== null && compareVersions(last, committed) === 0)) return
      // The set may have changed right after the commit, the first of a term too.
      const sets = before === undefined ? [register.electors] : [register.electors, before.electors]
      const isHeld = sets.some((set) => holders(set, register.line, committed) >= majorityOf(set.length))
      if (isHeld) return
      const which = `index ${committed.index} of ${epoch}.${term} in ${seat.domain}`
      throw new BrokenRule(
        'commit-by-majority',
        `${device.node} has ${which} committed by too few of ${electorIds(register)}`,
      )
    },
  }
}
