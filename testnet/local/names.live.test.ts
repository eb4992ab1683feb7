// Names as programs use them that nobody here wrote: two clusters on loopback, services in the one, callers on the
// other's device. Needs the Debian packages curl, wget, bind9-dnsutils, netcat-openbsd, openssh-client, openssh-server,
// redis-server, postgresql, postgresql-client, socat and wrk; .ci/run installs them.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { ResolveView, StatusView } from '../../node/control.ts'
import { answer, coppice, WAITING } from './command-fixture.ts'
import { type Fleet, type FleetNode, PATIENCE_MS, readyFleet, until } from './fleet.ts'
import { servicesDescriptor } from './service-fixture.ts'

/** Of another one's program; one that hangs fails its test. */
const PROGRAM_MS_MAX = 120_000
/** So many calls while there is load: each connection has had its turn. */
const CALLS_MIN = 32
const OUTPUT_BYTES_MAX = 16 * 1_048_576
/** A command that needs a shell to put its port in. */
const shell = (line: string): readonly string[] => ['sh', '-c', line]

let baseDir = ''
/** Of the database, which does not run as root, so it lies beside the others. */
let databaseDir = ''
let fleet: Fleet
/** On the device that runs nothing. */
let caller: FleetNode
let proxies: StatusView['proxies']

const nameOf = (service: string, tail = 'any.rr.local'): string => `shop.demo.${service}.web.${tail}`

interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** Runs a program to its end, with something on its standard input. */
function run(program: string, words: readonly string[], input = ''): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const options = { timeout: PROGRAM_MS_MAX, maxBuffer: OUTPUT_BYTES_MAX }
    const child = execFile(program, words, options, (problem, out, err) => {
      if (problem !== null && typeof problem.code !== 'number') reject(problem)
      else resolve({ code: typeof problem?.code === 'number' ? problem.code : 0, out, err })
    })
    // One that reads nothing may have ended before.
    child.stdin?.on('error', () => undefined).end(input)
  })
}

const dig = async (...words: readonly string[]): Promise<string> => {
  const [host = '', port = ''] = (proxies.dns ?? '').split(':')
  return (await run('dig', [`@${host}`, '-p', port, '+tries=3', '+time=20', ...words])).out
}

const addressOf = async (name: string): Promise<string> => (await dig('+short', name)).trim()

const HELLO = `require('http').createServer((_, response) => response.end('hello ' + process.env.COPPICE_INSTANCE))
  .listen(process.env.PORT, '127.0.0.1')`
const UDP_ECHO = `const socket = require('dgram').createSocket('udp4').bind(process.env.PORT, '127.0.0.1')
socket.on('message', (bytes, { port, address }) => socket.send('re: ' + bytes, port, address))`

const HASH = 'exec socat TCP-LISTEN:"$PORT",bind=127.0.0.1,fork,reuseaddr EXEC:sha256sum'

function descriptor(key: string, authorized: string): string {
  const inA = { constraints: [{ type: 'clusters', allowed: ['a'] }] }
  const service = (port: string, cmd: readonly string[], more: object = {}) => ({ ...inA, cmd, port, ...more })
  const sshd =
    `[ "$(id -u)" = 0 ] && mkdir -p /run/sshd; exec /usr/sbin/sshd -D -e -f /dev/null -p "$PORT" -h ${key} ` +
    `-o ListenAddress=127.0.0.1 -o AuthorizedKeysFile=${authorized} -o StrictModes=no -o UsePAM=no -o PidFile=none`
  const data = join(databaseDir, 'data')
  const postgres =
    `bin=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1); as=; cd ${databaseDir}; ` +
    '[ "$(id -u)" = 0 ] && as="setpriv --reuid postgres --regid postgres --clear-groups"; ' +
    `$as "$bin/initdb" -D ${data} -U tree -A trust --no-sync >&2; ` +
    `exec $as "$bin/postgres" -D ${data} -p "$PORT" -k "" -c listen_addresses=127.0.0.1 -c fsync=off`
  // Tells whoever asks it what it hears itself when it calls hello; it learns the proxy from the file beside the test.
  const asker = service('8080', ['node', '-e', ASKER], { constraints: [{ type: 'clusters', allowed: ['b'] }] })
  return servicesDescriptor({
    'shop.demo.hello.web': service('8080', ['node', '-e', HELLO], { replicas: 2 }),
    'shop.demo.echo.web': service('5353/udp', ['node', '-e', UDP_ECHO]),
    'shop.demo.redis.web': service('6379', shell('exec redis-server --port "$PORT" --bind 127.0.0.1 --save ""')),
    'shop.demo.ssh.web': service('22', shell(sshd)),
    'shop.demo.hash.web': service('7000', shell(HASH)),
    'shop.demo.postgres.web': service('5432', shell(postgres)),
    'shop.demo.open.web': service('8080', ['node', '-e', HELLO], { callers: ['test'] }),
    'shop.demo.asker.web': asker,
    'shop.test.asker.web': asker,
  })
}

/** Calls the address that its URL's path names, through the proxy that the query names, and passes the answer on. */
const ASKER = `const { request, createServer } = require('http')
createServer((incoming, response) => {
  const { pathname, searchParams } = new URL(incoming.url, 'http://x')
  const { hostname, port } = new URL(searchParams.get('proxy'))
  const target = pathname.slice(1)
  request({ hostname, port, path: 'http://' + target + '/', headers: { host: target } }, (answer) => {
    response.writeHead(answer.statusCode)
    answer.pipe(response)
  }).end()
}).listen(process.env.PORT, '127.0.0.1')`

before(async () => {
  baseDir = await mkdtemp(join(tmpdir(), 'names-'))
  databaseDir = await mkdtemp(join(tmpdir(), 'names-database-'))
  await chmod(databaseDir, 0o777)
  fleet = await readyFleet({
    baseDir,
    clusters: [
      { path: '/a', names: ['a1'] },
      { path: '/b', names: ['b1'] },
    ],
  })
  const key = join(baseDir, 'key')
  await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key])
  const file = join(baseDir, 'names.json')
  await writeFile(file, descriptor(key, `${key}.pub`))
  caller = fleet.named('b1')
  const { exitCode, stderr } = await coppice('deploy', file, ...WAITING, '--data', caller.dataDir)
  assert.equal(exitCode, 0, stderr)
  proxies = (await caller.control.status()).proxies
})

after(async () => {
  await fleet?.stop()
  for (const dir of [baseDir, databaseDir]) await rm(dir, { recursive: true, force: true })
})

test('dig is answered A, AAAA, SRV, denials and refusals, over UDP and TCP', async () => {
  assert.match(await addressOf(nameOf('hello')), /^127\.30\.\d+\.\d+$/)
  assert.equal(await dig('+short', '+tcp', nameOf('hello')), await dig('+short', nameOf('hello')))
  assert.equal(await addressOf('hello.shop.internal'), await addressOf(nameOf('hello')))
  assert.match(await dig(nameOf('hello'), 'AAAA'), /status: NOERROR[\s\S]*ANSWER: 0/)
  const srv = (await dig('+short', nameOf('hello'), 'SRV')).trim().split('\n').toSorted()
  assert.deepEqual(
    srv,
    [0, 1].map((number) => `0 1 8080 shop.demo.hello.web.${number}.instance.local.`),
  )
  assert.match(await dig(nameOf('nobody')), /status: NXDOMAIN/)
  assert.match(await dig(nameOf('hello', 'any.robin.local')), /status: NXDOMAIN/)
  assert.match(await dig('example.org'), /status: REFUSED/)
  assert.match(await dig('TYPE65', nameOf('hello')), /status: NOERROR/)
})

test('curl and wget reach both instances through the proxies and by address', async () => {
  const bodies = new Set<string>()
  const url = `http://${nameOf('hello')}:8080/`
  for (const proxy of [proxies.http, proxies.socks]) {
    for (const turn of [1, 2]) {
      const { out, code } = await run('curl', ['-sS', '--noproxy', '', '--proxy', proxy ?? '', url])
      assert.equal(code, 0, `${proxy} ${turn}`)
      bodies.add(out)
    }
  }
  assert.deepEqual([...bodies].toSorted(), ['hello 0', 'hello 1'])
  const byAddress = `http://${await addressOf(nameOf('hello', '1.instance.local'))}:8080/`
  const wget = await run('wget', ['-qO-', '--no-proxy', byAddress])
  assert.equal(wget.out, 'hello 1')
  const proxied = await run('wget', ['-qO-', '-e', `http_proxy=${proxies.http}`, '-e', 'use_proxy=yes', url])
  assert.match(proxied.out, /^hello [01]$/)
})

test('curl hears why a service was not reached', async () => {
  const url = `http://${nameOf('hello')}:99/`
  const { out } = await run('curl', ['-sS', '--noproxy', '', '--proxy', proxies.http ?? '', url])
  assert.match(out, /"code":"no-such-port".*declares no tcp port 99; it has 8080\/tcp/)
})

test('an instance is refused by a service of another namespace, with the reason, unless that lets it in', async () => {
  const asked = async (namespace: string, service: string): Promise<string> => {
    const host = `shop.${namespace}.asker.web.any.rr.local:8080`
    const url = `http://${host}/${nameOf(service)}:8080?proxy=${encodeURIComponent(proxies.http ?? '')}`
    return (await run('curl', ['-sS', '--noproxy', '', '--proxy', proxies.http ?? '', url])).out
  }
  assert.match(await asked('demo', 'hello'), /^hello [01]$/)
  const refused = await asked('test', 'hello')
  assert.match(refused, /"code":"not-allowed".*may be called from the namespace \\"demo\\", not from \\"shop\.test\\"/)
  assert.equal(await asked('test', 'open'), 'hello 0')
})

test('nc sends datagrams to a UDP service, by its address and through a forward', async () => {
  const askUdp = async (host: string, port: string): Promise<string> =>
    (await run('nc', ['-u', '-W', '1', '-w', '30', host, port], 'hello')).out
  assert.equal(await askUdp(await addressOf(nameOf('echo')), '5353'), 're: hello')
  const stop = new AbortController()
  const request = { address: `${nameOf('echo')}:5353`, localPort: 0, protocol: 'udp' as const }
  const { host, port } = await caller.control.forward(request, stop.signal)
  assert.equal(await askUdp(host, `${port}`), 're: hello')
  stop.abort()
})

test('redis-cli works against a real server by its address', async () => {
  const host = await addressOf(nameOf('redis', 'any.closest.local'))
  const redis = async (...words: readonly string[]) =>
    (await run('redis-cli', ['-h', host, '-p', '6379', ...words])).out
  assert.equal((await redis('SET', 'tree', 'coppice')).trim(), 'OK')
  assert.equal((await redis('GET', 'tree')).trim(), 'coppice')
})

test('psql works against a real server by its address: questions, copies in bulk, and an error', async () => {
  const host = await addressOf(nameOf('postgres'))
  const words = ['-h', host, '-p', '5432', '-U', 'tree', '-d', 'postgres', '-v', 'ON_ERROR_STOP=1', '-qtA']
  const psql = (command: string, input = ''): Promise<Ran> => run('psql', [...words, '-c', command], input)
  await until('it serves', async () => (await psql('select 1')).code === 0, PATIENCE_MS)
  assert.equal((await psql('create table leaf (number int, name text)')).code, 0)
  const leaves = Array.from({ length: 100_000 }, (_, number) => `${number}\tleaf ${number}\n`).join('')
  assert.equal((await psql('copy leaf from stdin', leaves)).err, '')
  assert.equal((await psql('select count(*), sum(number) from leaf')).out.trim(), '100000|4999950000')
  assert.equal((await psql('copy (select * from leaf order by number) to stdout')).out, leaves)
  assert.match((await psql('select * from root')).err, /relation "root" does not exist/)
})

test('nc ends its half of a connection, and hears the answer to all that it said', async () => {
  const text = 'coppice '.repeat(100_000)
  const host = await addressOf(nameOf('hash'))
  const { out } = await run('nc', ['-N', host, '7000'], text)
  assert.equal(out.split(' ')[0], createHash('sha256').update(text).digest('hex'))
})

test('wrk calls for seconds over many connections and has no call that failed', async (t) => {
  const load = ['-t', '1', '-c', '16', '-d', '3s', '--timeout', '60s']
  const { code, out } = await run('wrk', [...load, `http://${await addressOf(nameOf('hello'))}:8080/`])
  t.diagnostic(out)
  assert.equal(code, 0)
  assert.ok(Number(/(\d+) requests in/.exec(out)?.[1]) >= CALLS_MIN, out)
  assert.doesNotMatch(out, /Socket errors|Non-2xx/)
})

test('ssh works through SOCKS, and what it carries is whole', async () => {
  const proxy = (proxies.socks ?? '').replace('socks5h://', '')
  const options = ['-o', `ProxyCommand=nc -X 5 -x ${proxy} %h %p`, '-o', 'StrictHostKeyChecking=no']
  const known = ['-o', `UserKnownHostsFile=${join(baseDir, 'known')}`, '-i', join(baseDir, 'key')]
  const text = await readFile(join(baseDir, 'names.json'), 'utf8')
  const words = [...options, ...known, '-o', 'BatchMode=yes', `${userInfo().username}@${nameOf('ssh')}`, 'cat']
  const { code, out, err } = await run('ssh', words, text)
  assert.equal(code, 0, err)
  assert.equal(out, text)
})

test('an instance that is gone leaves the answers of a node that asked before', async () => {
  const targets = async (): Promise<number> => (await dig('+short', nameOf('hello'), 'SRV')).trim().split('\n').length
  await until('both are there', async () => (await targets()) === 2, PATIENCE_MS)
  await answer('scale', 'shop.demo.hello.web', '1', '--data', caller.dataDir)
  await until('one is left', async () => (await targets()) === 1, PATIENCE_MS)
  const left: ResolveView = await answer('resolve', nameOf('hello'), '--data', caller.dataDir)
  assert.equal(left.endpoints.length, 1)
  await answer('rm', 'shop.demo.hello.web', '--data', caller.dataDir)
  await until('it does not exist', async () => (await dig(nameOf('hello'))).includes('status: NXDOMAIN'), PATIENCE_MS)
})
