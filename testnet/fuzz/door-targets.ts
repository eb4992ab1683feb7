// What stands at the door and uses real keys: hello, join, charters by gossip, envelopes; and the control socket. They
// wait for signatures and sockets, so they get a small share.

import { mkdtemp, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BootstrapError } from '../../bootstrap/errors.ts'
import {
  founder,
  inviteFrom,
  joinWith,
  type Member,
  memoryStore,
  START,
} from '../../bootstrap/io/federation-for-tests.ts'
import { prepareDevice, takePrepared } from '../../bootstrap/io/prepare.ts'
import { openSealed, sealTo } from '../../bootstrap/io/sealed-box.ts'
import { joinAnswerFrame, joinRequestFrame } from '../../bootstrap/messages.ts'
import type { CoreMessage } from '../../node/core/effects.ts'
import { coreCodec } from '../../node/core/messages.ts'
import { serveControl } from '../../node/io/control-server.ts'
import { fixtureControl } from '../../node/io/fixture-control.ts'
import { oneMessage } from '../../node/owner-proof.ts'
import { readLogin } from '../../node/registry-logins.ts'
import { pick, type Random } from '../../overlay/kernel/random.ts'
import { decodeBounded, encodeCbor } from '../../overlay/wire/codec.ts'
import { createSealer } from '../../overlay/wire/envelope.ts'
import { chance } from '../sim/streams.ts'
import { gatherSamples } from './corpus.ts'
import { mutateBytes, mutateValue } from './mutate.ts'
import type { Target } from './target.ts'

interface Town {
  readonly host: Member
  readonly guest: Member
  readonly request: Uint8Array
}

async function foundTown(): Promise<Town> {
  const clock = { wall: START }
  const host = await founder(clock)
  const invite = await inviteFrom(host, 100)
  const guest = await joinWith(host, invite, 'guest', clock)
  const { inviteId, secret } = invite
  return { host, guest, request: joinRequestFrame.encode({ kind: 'join', inviteId, secret, name: 'guest' }) }
}

function changed(random: Random, bytes: Uint8Array): Uint8Array {
  const raw = chance(random, 0.7) ? decodeBounded(bytes) : null
  return raw?.ok === true ? encodeCbor(mutateValue(random, raw.value)) : mutateBytes(random, bytes)
}

/** One of the ways in of a member: what comes there, and whether it was refused. */
function doorTarget(
  name: string,
  say: (town: Town) => Uint8Array,
  hear: (town: Town, bytes: Uint8Array) => Promise<boolean> | boolean,
): Target {
  return {
    name,
    weight: 1,
    open: async () => {
      const town = await foundTown()
      const honest = say(town)
      return {
        fire: async (random, onInput) => {
          const bytes = changed(random, honest)
          onInput(bytes)
          return { refused: await hear(town, bytes) }
        },
        end: () => undefined,
      }
    },
  }
}

/** What a prepared device is started with, from a stick that went through many hands. */
function preparedTarget(): Target {
  return {
    name: 'prepared',
    weight: 1,
    open: async () => {
      const { host } = await foundTown()
      const addresses = ['/ip4/192.0.2.1/tcp/4001']
      const content = await prepareDevice({ gate: host.gate, name: 'shed', domain: host.gate.facts.domain, addresses })
      return {
        fire: async (random, onInput) => {
          const isValue = chance(random, 0.7)
          const bytes = isValue
            ? Buffer.from(JSON.stringify(mutateValue(random, JSON.parse(content))))
            : mutateBytes(random, Buffer.from(content))
          onInput(bytes)
          const folder = await mkdtemp(join(tmpdir(), 'fuzz-'))
          try {
            await takePrepared(Buffer.from(bytes).toString(), folder, memoryStore())
            return { refused: false }
          } catch (problem) {
            if (problem instanceof BootstrapError) return { refused: true }
            throw problem
          } finally {
            await rm(folder, { recursive: true })
          }
        },
        end: () => undefined,
      }
    },
  }
}

/** Signed by a member with its real key, around a real message that was changed. */
function envelopeTarget(): Target {
  return {
    name: 'door-envelope',
    weight: 1,
    open: async () => {
      const { host, guest } = await foundTown()
      await host.gate.checkHello(guest.nodeKey.node, guest.gate.ownHello())
      const sealer = createSealer<CoreMessage>(coreCodec, host.gate.federation, host.gate, host.gate)
      const liar = createSealer<CoreMessage>(
        { ...coreCodec, encode: (message) => (message as unknown as { readonly body: Uint8Array }).body },
        host.gate.federation,
        guest.gate,
        guest.gate,
      )
      const samples = [...gatherSamples(1).values()].flat()
      return {
        fire: (random, onInput) => {
          const body = changed(random, pick(random, samples)?.body ?? new Uint8Array(0))
          const sealed = liar.seal({ body } as unknown as CoreMessage).bytes
          const bytes = chance(random, 0.3) ? mutateBytes(random, sealed) : sealed
          onInput(bytes)
          return { refused: !sealer.hear(bytes, guest.gate.facts).ok }
        },
        end: () => undefined,
      }
    },
  }
}

const REQUESTS: readonly { readonly method: string; readonly path: string; readonly body: unknown }[] = [
  { method: 'POST', path: '/v1/deploy', body: { descriptor: '{}', domain: '/berlin' } },
  { method: 'POST', path: '/v1/services/a.b.c.d/scale', body: { replicas: 3 } },
  { method: 'POST', path: '/v1/services/a.b.c.d/migrate', body: { number: 0, to: 'berlin-2' } },
  { method: 'POST', path: '/v1/intake', body: { node: 'berlin-1', set: 'draining' } },
  { method: 'POST', path: '/v1/invites', body: { domain: '/berlin', uses: 1, ttlMs: 1_000 } },
  { method: 'POST', path: '/v1/registries', body: { registry: 'ghcr.io', username: 'a', password: 'b' } },
  { method: 'POST', path: '/v1/revocations', body: { node: 'berlin-1' } },
  { method: 'GET', path: '/v1/resolve?address=web.shop.internal', body: null },
  { method: 'GET', path: '/v1/services?id=a.b.c.d', body: null },
  { method: 'GET', path: '/v1/ping?node=berlin-1', body: null },
]

/** The control socket: whatever comes, there is an answer that is no bug of ours. */
function controlTarget(): Target {
  return {
    name: 'control',
    weight: 1,
    open: async () => {
      const folder = await mkdtemp(join(tmpdir(), 'fuzz-'))
      const bugs: unknown[] = []
      const server = await serveControl(fixtureControl(), folder, { onBug: (bug) => bugs.push(bug) })
      return {
        fire: async (random, onInput) => {
          const { method, path, body } = pick(random, REQUESTS) as (typeof REQUESTS)[number]
          const text = JSON.stringify(body)
          const isValue = chance(random, 0.7)
          const sent = isValue
            ? JSON.stringify(mutateValue(random, body))
            : Buffer.from(mutateBytes(random, Buffer.from(text)))
          const to = chance(random, 0.3) ? asPath(mutateBytes(random, Buffer.from(path))) : path
          onInput(Buffer.from(`${method} ${to} ${sent}`))
          const status = await answered(server.path, method, to, sent)
          if (bugs.length > 0) throw bugs[0]
          return { refused: status >= 400 }
        },
        end: async () => {
          await server.close()
          await rm(folder, { recursive: true })
        },
      }
    },
  }
}

/** Bytes as they may stand in a request line. */
const asPath = (bytes: Uint8Array): string => `/${encodeURI(Buffer.from(bytes).toString('latin1')).slice(1, 2_000)}`

function answered(socketPath: string, method: string, path: string, body: string | Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, method, path, headers: { 'content-type': 'application/json' } })
    asked.once('error', reject)
    asked.once('response', (response) => {
      response.resume().once('end', () => resolve(response.statusCode ?? 0))
      // Some answers go on until the asker leaves.
      if (response.headers['transfer-encoding'] === 'chunked') response.destroy()
      response.once('close', () => resolve(response.statusCode ?? 0))
      response.once('error', () => resolve(response.statusCode ?? 0))
    })
    asked.end(method === 'GET' ? undefined : body)
  })
}

export const doorTargets = (): readonly Target[] => [
  doorTarget(
    'door-hello',
    ({ guest }) => guest.gate.ownHello(),
    async ({ host, guest }, bytes) => !(await host.gate.checkHello(guest.nodeKey.node, bytes)).ok,
  ),
  doorTarget(
    'door-join',
    ({ request: asked }) => asked,
    async ({ host, guest }, bytes) => {
      const answer = joinAnswerFrame.decode(await host.gate.serveJoin(guest.nodeKey.node, bytes))
      return answer.ok && answer.value.kind === 'refused'
    },
  ),
  doorTarget(
    'door-charter',
    ({ host }) => host.gate.packedCharter(),
    async ({ guest }, bytes) => (await guest.gate.takeNews(bytes)) === 'refused',
  ),
  doorTarget(
    'sealed',
    ({ host }) => sealTo(host.nodeKey.node, Buffer.from('a secret'), 'shop') ?? new Uint8Array(0),
    ({ host }, bytes) => openSealed(host.nodeKey.exchangeKey, bytes, 'shop') === null,
  ),
  doorTarget(
    'login',
    () => Buffer.from(JSON.stringify(['acme', 'correct horse'])),
    async (_town, bytes) => (await readLogin(oneMessage(bytes), 'ghcr.io')) === null,
  ),
  preparedTarget(),
  envelopeTarget(),
  controlTarget(),
]
