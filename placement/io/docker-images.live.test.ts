// Images without a registry, with a real engine:
//   testnet/lab/with-docker.sh node --test placement/io/docker-images.live.test.ts

import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import Docker from 'dockerode'
import type { ImageOffer } from '../runtime.ts'
import { bench, container, IMAGE, shell } from './docker-bench.ts'
import { chainsHere } from './docker-layers.ts'
import type { DockerRuntimeOptions } from './docker-runtime.ts'
import { awaitOutput } from './driver-bench.ts'

/** An image of its own, which is nowhere but in this engine, and its archive as a peer sends it. */
async function ownImage(t: TestContext, name: string): Promise<{ readonly archive: Buffer; readonly id: string }> {
  const docker = new Docker()
  const made = await docker.createContainer({ Image: IMAGE, Cmd: ['true'] })
  const [repo = '', tag = ''] = name.split(':')
  await made.commit({ repo, tag, changes: `LABEL only=${name}` })
  await made.remove()
  t.after(() =>
    docker
      .getImage(name)
      .remove({ force: true })
      .catch(() => undefined),
  )
  const { driver } = await bench(t)
  const offered = await driver.image?.(name, new Uint8Array())
  assert.ok(offered)
  const { Id: id } = await docker.getImage(name).inspect()
  return { archive: await buffer(offered), id }
}

/** A driver whose peers offer these archives, in this order, when the registry cannot be reached. */
function withPeers(t: TestContext, ...archives: readonly Buffer[]) {
  return peersWith(t, {}, archives)
}

function peersWith(t: TestContext, parts: Partial<DockerRuntimeOptions>, archives: readonly Buffer[]) {
  async function* imageOffers(): AsyncGenerator<ImageOffer> {
    for (const [index, archive] of archives.entries()) {
      const pieces: Buffer[] = []
      for (let at = 0; at < archive.length; at += 65_536) pieces.push(archive.subarray(at, at + 65_536))
      yield { from: `peer ${index}`, stream: Readable.from(pieces, { objectMode: false }) }
    }
  }
  return bench(t, { ...parts, imageOffers })
}

test('an image that no registry has is copied from a peer that has it, and is the same by its digest', async (t) => {
  const name = `copied/first-${process.pid}:1`
  const { archive, id } = await ownImage(t, name)
  const docker = new Docker()
  await docker.getImage(name).remove({ force: true })
  const { driver, next, events } = await withPeers(t, archive)
  const launch = container({ code: name, ...shell('echo from a copy; sleep 60'), stopGraceMs: 0 })
  driver.start(launch)
  await next('running')
  assert.equal(await awaitOutput(driver, launch.key), 'from a copy\n')
  assert.equal((await docker.getImage(name).inspect()).Id, id)
  assert.ok(events.some((event) => event.kind === 'pulling' && event.detail === `copying ${name} from peer 0`))
})

test('what is cut off, or another image, is not taken, and the next peer is asked', async (t) => {
  const name = `copied/second-${process.pid}:1`
  const other = `copied/other-${process.pid}:1`
  const { archive } = await ownImage(t, name)
  const wrong = await ownImage(t, other)
  const docker = new Docker()
  await docker.getImage(name).remove({ force: true })
  await docker.getImage(other).remove({ force: true })
  // The promise of one image, and the archive of the other.
  const swapped = Buffer.concat([archive.subarray(0, 72), wrong.archive.subarray(72)])
  const cut = archive.subarray(0, archive.length - 3_000)
  const { driver, next, warnings } = await withPeers(t, cut, swapped, archive)
  driver.start(container({ code: name, ...shell('sleep 60'), stopGraceMs: 0 }))
  await next('running')
  assert.equal(warnings.length, 2)
  assert.match(warnings[0] ?? '', /from peer 0 was not taken: it is cut off/)
  assert.match(warnings[1] ?? '', /from peer 1 was not taken: it is another image than was promised/)
  await assert.rejects(docker.getImage(wrong.id).inspect())
})

test('only layers that the engine lacks are sent; one that cannot use them gets the whole image', async (t) => {
  const name = `copied/third-${process.pid}:1`
  const docker = new Docker()
  const have = await chainsHere(docker)
  const made = await docker.createContainer({ Image: IMAGE, Cmd: ['sh', '-c', `echo ${name} > /tmp/only`] })
  await made.start()
  await made.wait()
  await made.commit({ repo: name.slice(0, -2), tag: '1' })
  await made.remove()
  t.after(() => docker.getImage(name).remove({ force: true }))
  const { Id: id } = await docker.getImage(name).inspect()
  const { driver: peer } = await bench(t)
  const sent = async (marks: Uint8Array): Promise<Buffer> => {
    const offered = await peer.image?.(name, marks)
    assert.ok(offered)
    return await buffer(offered)
  }
  const [whole, parts, tooLittle] = [
    await sent(new Uint8Array()),
    await sent(have),
    await sent(await chainsHere(docker)),
  ]
  assert.ok(whole.length > 1_000_000 && parts.length < 100_000, `${parts.length} of ${whole.length} bytes`)
  const run = async (number: number, archiveFor: (marks: Uint8Array) => Buffer): Promise<readonly string[]> => {
    await docker.getImage(name).remove({ force: true })
    async function* imageOffers(_image: string, marks: Uint8Array): AsyncGenerator<ImageOffer> {
      yield { from: 'peer', stream: Readable.from([archiveFor(marks)], { objectMode: false }) }
    }
    const { driver, next, warnings } = await bench(t, { imageOffers })
    const launch = container({ code: name, ...shell('cat /tmp/only; sleep 60'), stopGraceMs: 0 }, number)
    driver.start(launch)
    await next('running')
    assert.equal(await awaitOutput(driver, launch.key), `${name}\n`)
    assert.equal((await docker.getImage(name).inspect()).Id, id)
    driver.stop(launch.key, 0)
    await next('exited')
    return warnings
  }
  assert.deepEqual(await run(0, (marks) => (marks.length > 0 ? parts : whole)), [])
  const warnings = await run(1, (marks) => (marks.length > 0 ? tooLittle : whole))
  assert.match(warnings[0] ?? '', /from peer was not taken/)
})

test('an image that nobody has is a reason that says so', async (t) => {
  const { driver, next } = await withPeers(t)
  driver.start(container({ code: 'localhost:9/nobody-has-it:1' }))
  assert.match((await next('failed')).detail, /cannot be pulled: .*; no device nearby has it either$/)
})

test('when the disk is nearly full, images that we brought and nothing uses go, and no others', async (t) => {
  const docker = new Docker()
  const isThere = (name: string): Promise<boolean> =>
    docker
      .getImage(name)
      .inspect()
      .then(
        () => true,
        () => false,
      )
  const names = ['unused', 'used', 'needed'].map((what) => `kept/${what}-${process.pid}:1`)
  const archives: Buffer[] = []
  for (const name of names) {
    archives.push((await ownImage(t, name)).archive)
    await docker.getImage(name).remove({ force: true })
  }
  const [unused = '', used = '', needed = ''] = names
  // One that somebody else brought, which nothing uses either.
  const strange = `kept/strange-${process.pid}:1`
  await ownImage(t, strange)
  let free = 100
  const asked = [...archives]
  const offers = async function* (): AsyncGenerator<ImageOffer> {
    yield { from: 'peer', stream: Readable.from([asked.shift() ?? Buffer.alloc(0)], { objectMode: false }) }
  }
  const imageRoom = async () => ({ free, total: 100 })
  const { driver, next } = await bench(t, { imageOffers: offers, imageRoom })
  const run = async (code: string, number: number): Promise<void> => {
    driver.start(container({ code, ...shell('sleep 60'), stopGraceMs: 0 }, number))
    await next('running')
  }
  await run(unused, 0)
  driver.stop(container({}, 0).key, 0)
  await next('exited')
  await run(used, 1)
  free = 5
  await run(needed, 2)
  assert.deepEqual(await Promise.all([unused, used, needed, strange].map(isThere)), [false, true, true, true])
})
