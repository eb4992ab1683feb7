// The DNS server on real sockets: both transports, both kinds of names, and what does not fit.

import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect } from 'node:net'
import { after, before, test } from 'node:test'
import { decode, encode, type Packet } from 'dns-packet'
import type { DnsOutcome } from '../dns.ts'
import { serviceId } from '../kernel/ids.ts'
import { openDnsServer } from './dns-server.ts'
import { PATIENCE_MS } from './fixtures.ts'
import type { Listener } from './way-in.ts'

const NAME = 'shop.prod.web.prod.0.rr.local'
const LARGE = 'shop.prod.large.prod.0.rr.local'
const reasons: string[] = []
let server: Listener
let resolver: Listener

const found: DnsOutcome = {
  kind: 'found',
  service: serviceId('shop.prod.web.prod'),
  policy: 'rr',
  addressV4: '127.30.0.7',
  addressV6: null,
  instances: Array.from({ length: 40 }, (_, number) => ({ number, ports: [{ port: 80, protocol: 'tcp' as const }] })),
}

const resolve = async (name: string): Promise<DnsOutcome> => {
  if (name === NAME || name === LARGE) return found
  if (name.startsWith('lost.')) return { kind: 'unanswered', reason: 'no leader answered' }
  return { kind: 'absent', reason: `no service answers to ${name}` }
}

before(async () => {
  const options = { host: '127.0.0.1', port: 0, resolve, onReason: (_: string, reason: string) => reasons.push(reason) }
  // The one stands for another system's resolver of the other; its own names are foreign to nobody.
  resolver = await openDnsServer({ ...options, forwardTo: null })
  server = await openDnsServer({ ...options, forwardTo: { host: resolver.host, port: resolver.port } })
})
after(() => Promise.all([server.close(), resolver.close()]))

const query = (name: string, type: string, additionals: Packet['additionals'] = []): Buffer =>
  encode({ type: 'query', id: 4_711, flags: 256, questions: [{ name, type: type as 'A' }], additionals })
const edns = (bytes: number, ednsVersion = 0) =>
  [
    {
      type: 'OPT' as const,
      name: '.',
      udpPayloadSize: bytes,
      extendedRcode: 0,
      ednsVersion,
      flags: 0,
      flag_do: false,
      options: [],
    },
  ] satisfies Packet['additionals']

async function overUdp(message: Uint8Array, to: Listener = server): Promise<Buffer> {
  const socket = createSocket('udp4')
  socket.send(message, to.port, to.host)
  const [bytes] = (await once(socket, 'message', { signal: AbortSignal.timeout(PATIENCE_MS) })) as [Buffer]
  socket.close()
  return bytes
}

/** Sends all at once and in two pieces, and reads as many answers. */
async function overTcp(messages: readonly Uint8Array[]): Promise<readonly Packet[]> {
  const socket = connect(server.port, server.host)
  const all = Buffer.concat(messages.flatMap((one) => [Buffer.from([one.length >> 8, one.length & 255]), one]))
  socket.write(all.subarray(0, 5))
  await once(socket, 'connect')
  socket.write(all.subarray(5))
  let received = Buffer.alloc(0)
  const answers: Packet[] = []
  while (answers.length < messages.length) {
    const [chunk] = (await once(socket, 'data', { signal: AbortSignal.timeout(PATIENCE_MS) })) as [Buffer]
    received = Buffer.concat([received, chunk])
    while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
      answers.push(decode(received.subarray(2, 2 + received.readUInt16BE(0))))
      received = received.subarray(2 + received.readUInt16BE(0))
    }
  }
  socket.destroy()
  return answers
}

const rcodeOf = (packet: Packet): string => (packet as unknown as { readonly rcode: string }).rcode
const isTruncated = (packet: Packet): boolean => (packet as unknown as { readonly flag_tc: boolean }).flag_tc

test('a name is answered over UDP with its question, its number and our authority', async () => {
  const answer = decode(await overUdp(query(NAME, 'A')))
  assert.equal(answer.id, 4_711)
  assert.deepEqual(answer.questions, [{ name: NAME, type: 'A', class: 'IN' }])
  assert.deepEqual(
    answer.answers?.map((one) => one.type === 'A' && [one.data, one.ttl]),
    [['127.30.0.7', 5]],
  )
  const { flag_aa, flag_rd } = answer as unknown as Record<string, boolean>
  assert.deepEqual([flag_aa, flag_rd, rcodeOf(answer)], [true, true, 'NOERROR'])
})

test('denials carry how long they hold; failures are none; the reason is told', async () => {
  const denied = decode(await overUdp(query('shop.prod.nobody.prod.0.rr.local', 'A')))
  assert.equal(rcodeOf(denied), 'NXDOMAIN')
  assert.equal(denied.authorities?.[0]?.type, 'SOA')
  const failed = decode(await overUdp(query('lost.prod.web.prod.0.rr.local', 'A')))
  assert.deepEqual([rcodeOf(failed), failed.authorities?.length], ['SERVFAIL', 0])
  assert.equal(reasons.at(-1), 'no leader answered')
})

test('what does not fit a datagram says so and comes whole over TCP', async () => {
  const short = await overUdp(query(LARGE, 'SRV'))
  assert.ok(short.length <= 512 && isTruncated(decode(short)))
  assert.equal(decode(short).answers?.length, 0)
  const wide = await overUdp(query(LARGE, 'SRV', edns(65_000)))
  assert.ok(wide.length <= 1_232 && isTruncated(decode(wide)))
  const [whole] = await overTcp([query(LARGE, 'SRV')])
  assert.equal(whole?.answers?.length, 40)
})

test('several questions on one TCP connection are all answered', async () => {
  const answers = await overTcp([query(NAME, 'A'), query('x.local', 'A'), query(NAME, 'AAAA')])
  assert.deepEqual(answers.map(rcodeOf).toSorted(), ['NOERROR', 'NOERROR', 'NXDOMAIN'])
})

test('EDNS is answered with EDNS, an unknown version of it with BADVERS', async () => {
  const known = decode(await overUdp(query(NAME, 'A', edns(4_096))))
  const [option] = known.additionals ?? []
  assert.ok(option?.type === 'OPT' && option.udpPayloadSize === 1_232)
  const unknown = decode(await overUdp(query(NAME, 'A', edns(4_096, 1))))
  const [refused] = unknown.additionals ?? []
  assert.ok(refused?.type === 'OPT' && refused.extendedRcode === 1)
})

test('other systems’ names go to the resolver that was named, or are refused', async () => {
  // The resolver here has none of its own to forward to, and says so itself.
  assert.equal(rcodeOf(decode(await overUdp(query('example.org', 'A'), resolver))), 'REFUSED')
  const forwarded = decode(await overUdp(query('example.org', 'A')))
  assert.deepEqual([forwarded.id, rcodeOf(forwarded)], [4_711, 'REFUSED'])
  const [overStream] = await overTcp([query('example.org', 'A')])
  assert.ok(overStream && rcodeOf(overStream) === 'REFUSED')
})

test('a resolver that is not there is a failure, at once where the system says so', async () => {
  const gone = await openDnsServer({ host: '127.0.0.1', port: 0, resolve, forwardTo: null })
  const { host, port } = gone
  await gone.close()
  const lonely = await openDnsServer({ host: '127.0.0.1', port: 0, resolve, forwardTo: { host, port } })
  assert.equal(rcodeOf(decode(await overUdp(query('example.org', 'A'), lonely))), 'SERVFAIL')
  await lonely.close()
})

test('nonsense is refused by its number, and what is no question is not answered', async () => {
  const half = query(NAME, 'A').subarray(0, 20)
  assert.equal(rcodeOf(decode(await overUdp(half))), 'FORMERR')
  const update = query(NAME, 'A')
  update[2] = 5 << 3
  assert.equal(rcodeOf(decode(await overUdp(update))), 'NOTIMP')
  const socket = createSocket('udp4')
  const response = query(NAME, 'A')
  response[2] = 0x80
  socket.send(response, server.port, server.host)
  socket.send(query(NAME, 'A'), server.port, server.host)
  // The second is answered, so the first would have been before it.
  const [first] = (await once(socket, 'message', { signal: AbortSignal.timeout(PATIENCE_MS) })) as [Buffer]
  assert.equal(decode(first).answers?.length, 1)
  socket.close()
})

test('an address is looked up once until something changes, everything else each time', async () => {
  let asOf = 1
  const lookedUp: string[] = []
  const changing = await openDnsServer({
    host: '127.0.0.1',
    port: 0,
    forwardTo: null,
    asOf: () => asOf,
    resolve: async (name) => {
      lookedUp.push(name)
      const outcome = await resolve(name)
      return outcome.kind === 'found' ? { ...outcome, addressV4: `127.30.0.${asOf}`, asOf } : outcome
    },
  })
  const addressNow = async (): Promise<unknown> => {
    const [record] = decode(await overUdp(query(NAME, 'A'), changing)).answers ?? []
    return record?.type === 'A' && record.data
  }
  assert.deepEqual([await addressNow(), await addressNow(), lookedUp.length], ['127.30.0.1', '127.30.0.1', 1])
  asOf = 2
  assert.deepEqual([await addressNow(), await addressNow(), lookedUp.length], ['127.30.0.2', '127.30.0.2', 2])
  for (const name of ['shop.prod.nobody.prod.0.rr.local', 'lost.prod.web.prod.0.rr.local']) {
    for (let index = 0; index < 2; index++) await overUdp(query(name, 'A'), changing)
  }
  for (let index = 0; index < 2; index++) await overUdp(query(NAME, 'SRV'), changing)
  assert.equal(lookedUp.length, 8)
  await changing.close()
})
