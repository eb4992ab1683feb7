// Joining where there is no address to go by, as in a field: the invite knows who made it, and the device is found by
// multicast on the cable between the two. Real multicast, in network namespaces; needs root and `ip`.

import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { LanReport } from './lan.ts'
import { runInSpaces } from './spaces.ts'

const LAN = fileURLToPath(new URL('./lan.ts', import.meta.url))

test('a device joins by an invite without an address of use, and tells at each step what it waits for', async (t) => {
  const baseDir = await mkdtemp(join(tmpdir(), 'coppice-lan-'))
  t.after(() => rm(baseDir, { recursive: true, force: true }))
  const lan = runInSpaces([LAN, baseDir], ['ignore', 'pipe', 'pipe'])
  assert.ok(lan.stdout !== null && lan.stderr !== null)
  const [answer, problem] = await Promise.all([text(lan.stdout), text(lan.stderr)])
  assert.ok(answer.startsWith('{'), problem)
  const { steps, addressesOfInvite, path } = JSON.parse(answer) as LanReport
  assert.ok(
    addressesOfInvite.every((address) => address.startsWith('/ip4/127.')),
    `the invite names ${addressesOfInvite}`,
  )
  const at = (what: RegExp): number => {
    const index = steps.findIndex((line) => what.test(line))
    assert.notEqual(index, -1, `${what} in:\n${steps.join('\n')}`)
    return index
  }
  const told = [
    /asking 1 address of the invite/,
    /waiting for an answer of \/ip4\/127\./,
    /looking on this network for the device that made the invite/,
    /waiting for an answer of \/ip4\/192\.168\.7\.3\/tcp\/\d+\/p2p\//,
    /a member of federation/,
    /ready to take work/,
  ].map(at)
  assert.deepEqual(
    told,
    told.toSorted((a, b) => a - b),
    steps.join('\n'),
  )
  assert.equal(path, 'direct')
})
