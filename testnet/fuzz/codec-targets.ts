// Everything that reads bytes of strangers in one go: frames, headers, datagrams, archives. Each has bytes that an
// honest one would have sent.

import { decodeConsent } from '../../bootstrap/charter-entry.ts'
import { readCharterFile, unpackEntries } from '../../bootstrap/charter-file.ts'
import { readClaims } from '../../bootstrap/credential.ts'
import { decodeIssued } from '../../bootstrap/enrolment.ts'
import { readFederationOrder } from '../../bootstrap/federation-order.ts'
import { helloFrame, joinAnswerFrame, joinRequestFrame, renewalFrame } from '../../bootstrap/messages.ts'
import { readPolicyClaims } from '../../bootstrap/policy-statement.ts'
import { readRecoveryOrder } from '../../bootstrap/recovery-order.ts'
import { coreCodec } from '../../node/core/messages.ts'
import { readMembers } from '../../node/federate/serve.ts'
import {
  decodeCarriageAnswer,
  decodeCarriageRequest,
  encodeCarriageAnswer,
  encodeCarriageRequest,
} from '../../overlay/carriage.ts'
import { createDatagramReader, frameDatagram } from '../../overlay/datagrams.ts'
import { createPacker, createUnpacker } from '../../overlay/frame-delta.ts'
import { readNatPmpAnswer } from '../../overlay/gateway-messages.ts'
import { readRequest } from '../../overlay/io/dns-message.ts'
import { lanAnswer, lanQuestion, readLanMessage } from '../../overlay/io/lan-message.ts'
import type { FederationId, NodeId, ServiceId } from '../../overlay/kernel/ids.ts'
import { pick, type Random } from '../../overlay/kernel/random.ts'
import { err, ok, type Result } from '../../overlay/kernel/result.ts'
import {
  decodeDialBack,
  decodeDialBackAnswer,
  decodeObserveAnswer,
  decodeSeen,
  encodeDialBack,
  encodeDialBackAnswer,
  encodeObserveAnswer,
  encodeSeen,
} from '../../overlay/knock.ts'
import { createFrameReader as createLineReader, readCredit, writeCredit, writeHead } from '../../overlay/line-frames.ts'
import {
  decodeLineAnswer,
  decodeRequest,
  encodeLineAnswer,
  encodeRequest,
  LINE_SECRET_BYTES,
  LINE_TICKET_CHARS,
} from '../../overlay/line-request.ts'
import { PCP_NONCE_BYTES, readPcpAnswer } from '../../overlay/pcp-messages.ts'
import { decodeOffer, encodeExcuse, encodeOffer } from '../../overlay/punch.ts'
import { readGreeting, readSocksDatagram, readSocksRequest } from '../../overlay/socks.ts'
import { TICKET_CHARS, ticketIn } from '../../overlay/tickets.ts'
import { decodeAnswer, decodeHeader, encodeAnswer, encodeHeader } from '../../overlay/tunnel.ts'
import { decodeBounded, encodeCbor } from '../../overlay/wire/codec.ts'
import { createFrameReader } from '../../placement/docker-frames.ts'
import { createExecReader, encodeExec } from '../../placement/exec-frames.ts'
import { createImageCheck } from '../../placement/image-tar.ts'
import { decodeSpec, encodeSpec } from '../../placement/spec.ts'
import { createEntryReader, createTarFilter } from '../../placement/tar-filter.ts'
import { chance } from '../sim/streams.ts'
import { simpleSpec } from '../sim/workload.ts'
import { gatherSamples } from './corpus.ts'
import { mutateBytes, mutateValue } from './mutate.ts'
import type { Target } from './target.ts'

/** Reads bytes; says whether it would have nothing to do with them. */
type Read = (bytes: Uint8Array) => boolean

interface Reader {
  readonly name: string
  readonly samples: () => readonly Uint8Array[]
  readonly read: Read
  /** Whether the samples are CBOR, so that values in them can be changed. */
  readonly isCbor?: boolean
}

const failed = ({ ok }: Result<unknown, unknown>): boolean => !ok
/** What a device says of its cluster before two federations become one. */
const MEMBERS = JSON.stringify({
  members: [{ node: 'x', name: 'pi', domain: '/a', isHere: true, capabilities: ['work'], labels: {}, addresses: [] }],
  names: [{ of: 'service', name: 'shop.demo.web.web', mark: '1.0' }],
})

const latin = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'latin1'))
const latinOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')
const SERVICE = 'shop.sim.web.sim' as ServiceId
const PCP_NONCE = new Uint8Array(PCP_NONCE_BYTES).fill(7)
const LAN_TAG = '_coppice-ab._udp.local'
const nothingInside = () => err('no envelope belongs here')

const READERS: readonly Reader[] = [
  {
    name: 'message',
    samples: () => [...gatherSamples(1).values()].flat().map(({ body }) => body),
    read: (bytes) => failed(coreCodec.decode(bytes, nothingInside, 0)),
    isCbor: true,
  },
  {
    name: 'frame-delta',
    samples: () => {
      const packer = createPacker()
      return [1, 2, 3, 4].map((at) => packer.pack(encodeCbor({ kind: 'election/heartbeat', sentAt: at * 1_000.5 })))
    },
    read: (bytes) => {
      const unpacker = createUnpacker()
      unpacker.unpack(encodeCbor({ kind: 'election/heartbeat', sentAt: 0.5 }))
      return failed(unpacker.unpack(bytes))
    },
  },
  {
    name: 'tunnel-header',
    samples: () => [
      encodeHeader({ kind: 'exec', service: SERVICE, number: 0 }),
      encodeHeader({ kind: 'logs', service: SERVICE, number: 1, follow: true, tail: 10, sinceMs: null }),
      encodeHeader({
        kind: 'instance',
        service: SERVICE,
        number: 0,
        port: 80,
        protocol: 'tcp',
        callerNamespace: 'shop.sim',
      }),
    ],
    read: (bytes) => failed(decodeHeader(bytes)),
    isCbor: true,
  },
  {
    name: 'tunnel-answer',
    samples: () => [encodeAnswer(err({ code: 'limit', detail: 'too many' })), encodeAnswer(ok(null))],
    read: (bytes) => failed(decodeAnswer(bytes)),
    isCbor: true,
  },
  {
    name: 'spec',
    samples: () => [encodeSpec(simpleSpec('shop'))],
    read: (bytes) => failed(decodeSpec(bytes)),
    isCbor: true,
  },
  {
    name: 'hello',
    samples: () => [
      helloFrame.encode({
        kind: 'hello',
        federation: 'ab'.repeat(32) as FederationId,
        credential: 'eyJhbGciOiJFZERTQSJ9.e30.AAAA',
        name: 'berlin-1',
        shown: [new Uint8Array(32)],
        digest: new Uint8Array(32),
      }),
    ],
    read: (bytes) => failed(helloFrame.decode(bytes)),
    isCbor: true,
  },
  {
    name: 'join',
    samples: () => [
      joinRequestFrame.encode({ kind: 'join', inviteId: new Uint8Array(8), secret: new Uint8Array(32), name: 'x' }),
      joinAnswerFrame.encode({ kind: 'refused', code: 'used-up-invite', detail: 'x' }),
      renewalFrame.encode({ kind: 'renew', credential: 'a.b.c' }),
    ],
    read: (bytes) =>
      failed(joinRequestFrame.decode(bytes)) &&
      failed(joinAnswerFrame.decode(bytes)) &&
      failed(renewalFrame.decode(bytes)),
    isCbor: true,
  },
  {
    name: 'bootstrap-claims',
    samples: () => [latin('{"v":1,"node":"x","exp":1,"caps":["work"],"labels":{}}'), latin(MEMBERS)],
    read: (bytes) =>
      failed(readClaims(bytes)) &&
      failed(readRecoveryOrder(bytes)) &&
      failed(readFederationOrder(bytes)) &&
      failed(readPolicyClaims(bytes)) &&
      readMembers(bytes) === null &&
      failed(decodeIssued(bytes)),
  },
  {
    name: 'punch',
    samples: () => [encodeOffer({ host: '192.0.2.1', port: 4_001, isSteady: true }), encodeExcuse('busy')],
    read: (bytes) => failed(decodeOffer(bytes)),
    isCbor: true,
  },
  {
    name: 'line-frames',
    samples: () => [
      Buffer.concat([writeHead('data', 1, 5), latin('hello'), writeHead('end', 1, 0), writeHead('ping', 0, 0)]),
      Buffer.concat([writeHead('credit', 3, 4), writeCredit(65_536), writeHead('cut', 3, 0)]),
    ],
    read: (bytes) =>
      failed(createLineReader((kind, _tunnel, body) => kind === 'credit' && readCredit(body)).take(bytes)),
  },
  {
    name: 'line-request',
    samples: () => [
      encodeRequest({ kind: 'line', secret: new Uint8Array(LINE_SECRET_BYTES) }),
      encodeRequest({ kind: 'call' }),
      encodeLineAnswer({
        kind: 'line',
        ticket: 'a'.repeat(LINE_TICKET_CHARS),
        secret: new Uint8Array(LINE_SECRET_BYTES),
      }),
    ],
    read: (bytes) => failed(decodeRequest(bytes)) && failed(decodeLineAnswer(bytes)),
    isCbor: true,
  },
  {
    name: 'charter',
    samples: () => [Uint8Array.of(0, 1, 0x80), latin('coppice charter 2\ngA\n')],
    read: (bytes) =>
      failed(unpackEntries(bytes)) && failed(decodeConsent(bytes)) && failed(readCharterFile(latinOf(bytes))),
  },
  {
    name: 'dns',
    samples: () => [dnsQuery(['shop', 'sim', 'web', 'sim', '0', 'rr', 'local'], 1), dnsQuery(['web', 'internal'], 33)],
    read: (bytes) => readRequest(Buffer.from(bytes)).kind !== 'query',
  },
  {
    name: 'carriage',
    samples: () => [
      encodeCarriageRequest({ kind: 'carry', to: '12D3KooWJfZZRsqoTEYL2aRCTHRGBSEzqfUYDuy4x9Ghn8XJh7kQ' as NodeId }),
      encodeCarriageRequest({ kind: 'fetch', ticket: 'ab'.repeat(TICKET_CHARS / 2) }),
      encodeCarriageAnswer({ kind: 'joined', ticket: 'ab'.repeat(TICKET_CHARS / 2) }),
      encodeCarriageAnswer({ kind: 'refused', detail: 'no' }),
    ],
    read: (bytes) => {
      ticketIn(bytes)
      return failed(decodeCarriageRequest(bytes)) && failed(decodeCarriageAnswer(bytes))
    },
    isCbor: true,
  },
  {
    name: 'knock',
    samples: () => [
      encodeSeen({ host: '192.0.2.1', port: 4_001 }),
      encodeDialBack({ port: 4_001, ticket: 'ab'.repeat(TICKET_CHARS / 2) }),
      encodeDialBackAnswer(true),
      encodeObserveAnswer('ab'.repeat(TICKET_CHARS / 2)),
    ],
    read: (bytes) =>
      failed(decodeSeen(bytes)) &&
      failed(decodeDialBack(bytes)) &&
      failed(decodeDialBackAnswer(bytes)) &&
      failed(decodeObserveAnswer(bytes)),
    isCbor: true,
  },
  {
    name: 'lan-message',
    samples: () => [lanQuestion(LAN_TAG), lanAnswer(LAN_TAG, 'x', [`/ip4/192.168.7.1/tcp/4001/p2p/${'Q'.repeat(46)}`])],
    read: (bytes) => readLanMessage(bytes, LAN_TAG) === null,
  },
  {
    name: 'nat-pmp',
    samples: () => [
      Uint8Array.of(0, 128, 0, 0, 0, 0, 0, 1, 192, 0, 2, 1),
      Uint8Array.of(0, 130, 0, 0, 0, 0, 0, 1, 15, 161, 15, 161, 0, 0, 14, 16),
    ],
    read: (bytes) => readNatPmpAnswer(bytes) === null,
  },
  {
    name: 'pcp',
    samples: () => [
      Uint8Array.of(
        ...[2, 129, 0, 0, 0, 0, 28, 32, 0, 0, 0, 7, ...new Uint8Array(12), ...PCP_NONCE],
        ...[6, 0, 0, 0, 15, 161, 19, 136, ...new Uint8Array(10), 255, 255, 192, 0, 2, 1],
      ),
      Uint8Array.of(2, 129, 0, 8, 0, 0, 0, 30, ...new Uint8Array(16)),
    ],
    read: (bytes) => readPcpAnswer(bytes, PCP_NONCE) === null,
  },
  {
    name: 'socks',
    samples: () => [
      Uint8Array.of(5, 1, 0),
      Uint8Array.of(5, 1, 0, 1, 127, 30, 0, 1, 0, 80),
      latin('\u0005\u0001\u0000\u0003\u0009web.local\u0000\u0050'),
    ],
    read: (bytes) =>
      failed(readGreeting(bytes)) && failed(readSocksRequest(bytes)) && readSocksDatagram(bytes) === null,
  },
  {
    name: 'datagrams',
    samples: () => [frameDatagram(latin('hello')) ?? new Uint8Array(0)],
    read: (bytes) => {
      createDatagramReader().push(bytes)
      return false
    },
  },
  {
    name: 'exec-frames',
    samples: () => [
      ...encodeExec({ kind: 'input', bytes: latin('ls') }),
      ...encodeExec({ kind: 'out', bytes: latin('a') }),
    ],
    read: (bytes) => failed(createExecReader().read(bytes)),
  },
  {
    name: 'docker-frames',
    samples: () => [Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 2, 104, 105)],
    read: (bytes) => {
      createFrameReader().read(bytes)
      return false
    },
  },
  {
    name: 'image-tar',
    samples: () => [new Uint8Array(1_024), tarEntry('manifest.json', '[{"Config":"blobs/sha256/ab","Layers":[]}]')],
    read: (bytes) => {
      const check = createImageCheck(`sha256:${'ab'.repeat(32)}`)
      return failed(check.take(bytes)) || failed(check.end())
    },
  },
  {
    name: 'tar-entries',
    samples: () => [tarEntry('manifest.json', '[{"Layers":["a"]}]'), tarEntry('blobs/sha256/ab', 'x')],
    read: (bytes) => {
      createTarFilter(new Set(['blobs/sha256/ab']))(bytes)
      const reader = createEntryReader('manifest.json', 100)
      reader.take(bytes)
      return reader.text() === null
    },
  },
]

export const codecTargets = (): readonly Target[] => READERS.map(targetOf)

function targetOf({ name, samples, read, isCbor = false }: Reader): Target {
  let gathered: readonly Uint8Array[] | null = null
  return {
    name,
    weight: 2,
    open: () => {
      gathered ??= samples()
      const all = gathered
      return {
        fire: (random, onInput) => {
          const bytes = changed(random, pick(random, all) ?? new Uint8Array(0), isCbor)
          onInput(bytes)
          return { refused: read(bytes) }
        },
        end: () => undefined,
      }
    },
  }
}

function changed(random: Random, bytes: Uint8Array, isCbor: boolean): Uint8Array {
  const raw = isCbor && chance(random, 0.5) ? decodeBounded(bytes) : null
  return raw?.ok === true ? encodeCbor(mutateValue(random, raw.value)) : mutateBytes(random, bytes)
}

/** A question as a stub resolver asks it (RFC 1035, section 4.1). */
const dnsQuery = (labels: readonly string[], type: number): Uint8Array =>
  Uint8Array.from([
    ...[0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0],
    ...labels.flatMap((label) => [label.length, ...latin(label)]),
    ...[0, 0, type, 0, 1],
  ])

/** One file of an archive (tar(5), ustar). */
function tarEntry(name: string, content: string): Uint8Array {
  const header = Buffer.alloc(512)
  header.write(name, 0)
  header.write(`${content.length.toString(8).padStart(11, '0')}\0`, 124)
  header.write('0', 156)
  return Uint8Array.from(Buffer.concat([header, Buffer.from(content.padEnd(512, '\0')), Buffer.alloc(1_024)]))
}
