// A cable between two devices, no router, and no route that leads anywhere else. Run by lan.live.test.ts in namespaces
// of its own; prints what the second device said while it joined.

import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { createControlClient } from '../../node/io/control-client.ts'
import { PATIENCE_MS, until } from '../local/fleet.ts'

const COPPICE = fileURLToPath(new URL('../../node/cli/coppice.js', import.meta.url))
const NET = '192.168.7'

/** What came of it. */
export interface LanReport {
  /** What the joining device said, line by line. */
  readonly steps: readonly string[]
  readonly addressesOfInvite: readonly string[]
  /** How the host reaches the guest. */
  readonly path: string | null
}

const [baseDir = ''] = process.argv.slice(2)
const run = promisify(execFile)
const ip = async (...words: readonly string[]): Promise<void> => void (await run('ip', [...words]))
const address = async (name: string, host: number): Promise<void> => {
  await ip('-n', name, 'link', 'set', 'eth0', 'up')
  await ip('-n', name, 'addr', 'add', `${NET}.${host}/24`, 'dev', 'eth0')
}

function launch(name: string, words: readonly string[]) {
  const dataDir = join(baseDir, name)
  const own = ['--data', dataDir, '--name', name, '--listen', '/ip4/0.0.0.0/tcp/0', '--no-pressure']
  const child = spawn('ip', ['netns', 'exec', name, process.execPath, COPPICE, ...words, ...own], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  return { child, said: () => said, ended: once(child, 'close'), control: createControlClient(dataDir) }
}

await mkdir(baseDir, { recursive: true })
for (const name of ['host', 'guest']) {
  await ip('netns', 'add', name)
  await ip('-n', name, 'link', 'set', 'lo', 'up')
}
await ip('link', 'add', 'eth0', 'netns', 'host', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', 'guest')
await address('host', 1)
await address('guest', 2)
const host = launch('host', ['up', '--domain', '/home'])
await until('the host is ready', async () => (await host.control.status()).ready, PATIENCE_MS)
// Made while the cable is out: the invite knows who the host is, and no address under which anybody else has it.
await ip('-n', 'host', 'addr', 'flush', 'dev', 'eth0')
await ip('-n', 'host', 'link', 'set', 'eth0', 'down')
const addressesOfInvite = (await host.control.status()).addresses
const invite = await host.control.invite({ domain: '/home', uses: 1, ttlMs: PATIENCE_MS * 5 })
const guest = launch('guest', ['join', invite])
// The guest knows of the host by then, and that it is not where the invite says.
await until('the guest has asked in vain', async () => /no address of the invite/.test(guest.said()), PATIENCE_MS)
await address('host', 3)
const isReady = async (): Promise<boolean> => (await guest.control.status()).ready
await until('the guest is ready', isReady, PATIENCE_MS).catch((problem) => process.stderr.write(`${problem}\n`))
const pathToGuest = async () => (await host.control.status()).peers.find(({ name }) => name === 'guest')?.path
const path = await until('the host reaches the guest', pathToGuest, PATIENCE_MS).catch(() => null)
for (const { child } of [guest, host]) child.kill('SIGTERM')
await Promise.all([guest.ended, host.ended])
const steps = guest
  .said()
  .split('\n')
  .filter((line) => line !== '')
const report: LanReport = { steps, addressesOfInvite, path }
process.stdout.write(JSON.stringify(report))
