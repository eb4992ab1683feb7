// Coppice as a library: one running node, and what may be asked of it.

import { setTimeout as delay } from 'node:timers/promises'
import { isPrepared } from '../bootstrap/index.ts'
import { createControl } from './answers.ts'
import { memberByInvite, memberOrFounder, openFolder } from './boot.ts'
import type { NodeControl } from './control.ts'
import { CoppiceError } from './errors.ts'
import { serveControl } from './io/control-server.ts'
import { type Member, startMember } from './node.ts'
import type { JoinOptions, NodeOptions } from './options.ts'

export type * from './control.ts'
export { CoppiceError, type ErrorView } from './errors.ts'
export type { JoinOptions, NodeOptions, Preset } from './options.ts'

/**
 * How long a node that goes over into another federation waits for its last answers to get out. A guess: several round
 * trips; an answer that is lost costs a wrong word in the report of `coppice federate`, nothing else.
 */
const LEAVE_MS = 1_000

export interface RunningNode {
  /** Another one from when the device goes on in another federation. */
  readonly control: NodeControl
  /** Resolves when the node can take work; rejects with the signal's reason. */
  ready(signal: AbortSignal): Promise<void>
  /** Hands over what it leads, and stops. Instances go on running. */
  stop(): Promise<void>
  /** Resolves with the reason when the node cannot go on, e.g. because its disk is full. */
  readonly failed: Promise<Error>
}

/**
 * Starts a node on its folder; in an empty one it founds a federation of one. Rejects with CoppiceError:
 * `folder-in-use`, `store-damaged`, `port-in-use`, `damaged-key` and others, each with what to do.
 */
export async function createNode(options: NodeOptions): Promise<RunningNode> {
  const { promise: failed, resolve: fail } = Promise.withResolvers<Error>()
  const opened = await openFolder(options.dataDir, fail)
  const admission = await orClose(opened.disk, () => memberOrFounder(opened, options))
  return running(await startMember(admission, options), options, failed, fail)
}

/**
 * Joins by an invite, or as the device that was prepared, and starts. A folder that is a member of the same federation
 * starts as it is; one of another federation is refused. Rejects with CoppiceError: `bad-invite`, `expired-invite`,
 * `used-up-invite`, `other-federation`, `unreachable` and others.
 */
export async function joinNode(options: JoinOptions): Promise<RunningNode> {
  const { promise: failed, resolve: fail } = Promise.withResolvers<Error>()
  const prepared = isPrepared(options.invite) ? options.invite : null
  const folder = await openFolder(options.dataDir, fail, prepared)
  const admission = await orClose(folder.disk, () =>
    prepared === null ? memberByInvite(folder, options) : memberOrFounder(folder, options),
  )
  return running(await startMember(admission, options), options, failed, fail)
}

async function orClose<T>(disk: { close(): Promise<void> }, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (problem) {
    await disk.close()
    throw problem
  }
}

interface Life {
  readonly member: Member
  readonly control: NodeControl
  readonly server: { close(): Promise<void> }
}

async function live(member: Member): Promise<Life> {
  const control = createControl(member)
  try {
    return { member, control, server: await serveControl(control, member.folder.dataDir) }
  } catch (problem) {
    await member.stop()
    throw problem
  }
}

/** The node, through as many lives as it has: it begins another one when its device goes on in another federation. */
async function running(first: Member, options: NodeOptions, failed: Promise<Error>, fail: (problem: Error) => void) {
  let life = await live(first)
  let isStopping = false
  let changing: Promise<void> = Promise.resolve()

  const goOver = async (): Promise<void> => {
    // What was answered last gets out.
    await delay(LEAVE_MS)
    if (isStopping) return
    await life.server.close()
    await life.member.stop()
    const folder = await openFolder(options.dataDir, fail)
    const admission = await orClose(folder.disk, () => memberOrFounder(folder, options))
    life = await live(await startMember(admission, options))
    follow()
  }
  const follow = (): void => {
    void life.member.leaving.then(() => {
      changing = goOver().catch((problem: unknown) => fail(problem as Error))
    })
  }
  follow()

  const ready = async (signal: AbortSignal): Promise<void> => {
    for (;;) {
      const { member, control } = life
      const isOver = await Promise.race([untilReady(member, control, signal), member.leaving.then(() => true)])
      if (isOver !== true) return
      await changing
      signal.throwIfAborted()
    }
  }

  return {
    get control() {
      return life.control
    },
    failed,
    ready,
    stop: async () => {
      isStopping = true
      await changing
      // First of all: nobody should wait for a leader because a socket takes its time, and those who listen hear of it.
      await life.member.handOver()
      await life.server.close()
      await life.member.stop()
    },
  } satisfies RunningNode
}

function untilReady(member: Member, control: NodeControl, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (settle: () => void): void => {
      stop()
      signal.removeEventListener('abort', onAbort)
      settle()
    }
    const onAbort = (): void =>
      end(() =>
        reject(
          signal.reason ?? new CoppiceError('aborted', 'the node was stopped before it was ready', 'Start it again.'),
        ),
      )
    const look = (): void => {
      if (control.status().ready) end(resolve)
    }
    const stop = member.onSettled(look)
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
    else look()
  })
}
