// Keeps a port of the router forwarded to this node while members cannot dial it without. When to ask is decided in
// forwarding.ts, how in gateways.ts.

import { randomBytes } from 'node:crypto'
import * as forwarding from '../forwarding.ts'
import type { StepContext } from '../kernel/machine.ts'
import { PCP_NONCE_BYTES } from '../pcp-messages.ts'
import type { Counters } from './counters.ts'
import { type Forwarding, forwardPort } from './gateways.ts'

export interface ForwardingKeeper {
  /** The outer port of the router by which this node can be dialled under an address; null where there is none. */
  portAt(host: string): number | null
  /** What members say, and the port on which this node listens. */
  tell(isClosed: boolean, port: number | null): void
  onMoved(): void
  /** Gives the port back, within a second. */
  close(): Promise<void>
}

export interface ForwardingSetup {
  readonly random: StepContext['random']
  readonly counters: Counters
  /** A port under this address leads to this node now, or no longer does. */
  onChanged(host: string): void
  onNotice(code: string, detail: string): void
}

export function keepForwarding({ random, counters, onChanged, onNotice }: ForwardingSetup): ForwardingKeeper {
  let state = forwarding.createForwarding()
  let timer: NodeJS.Timeout | undefined
  let isClosed = false
  const nonce = randomBytes(PCP_NONCE_BYTES)
  /** What the router does for us now, with how to end that. */
  let held: Forwarding | null = null

  const tell = (input: forwarding.ForwardingInput): void => {
    if (isClosed) return
    const before = state.forwarded
    const stepped = forwarding.step(state, input, { now: performance.now(), wall: Date.now(), random })
    state = stepped.state
    for (const { round, port, external } of stepped.effects) void ask(round, port, external)
    wakeLater()
    const after = state.forwarded
    if (before?.host === after?.host && before?.port === after?.port) return
    if (after === null) held = null
    for (const host of new Set([before?.host, after?.host])) if (host !== undefined) onChanged(host)
  }
  const ask = async (round: number, port: number, external: number): Promise<void> => {
    const forwarded = await forwardPort(port, external, nonce).catch(() => null)
    if (isClosed) return void forwarded?.giveBack()
    const isNews = forwarded !== null && forwarded.port !== held?.port
    if (forwarded !== null && round === state.round) held = forwarded
    if (isNews) {
      counters.add(`ports-forwarded-${forwarded.by.toLowerCase()}`)
      onNotice('port-forwarded', `${forwarded.host}:${forwarded.port} by ${forwarded.by}`)
    }
    tell({ kind: 'answered', round, forwarded })
  }
  const wakeLater = (): void => {
    clearTimeout(timer)
    const due = forwarding.wakeAt(state)
    if (due === null) return
    timer = setTimeout(() => tell({ kind: 'wake' }), Math.max(0, due - performance.now()))
    timer.unref()
  }
  return {
    portAt: (host) => (state.forwarded?.host === host ? state.forwarded.port : null),
    tell: (isNeeded, port) => tell({ kind: 'closed', isClosed: isNeeded, port }),
    onMoved: () => tell({ kind: 'moved' }),
    close: async () => {
      isClosed = true
      clearTimeout(timer)
      await held?.giveBack()
    },
  }
}
