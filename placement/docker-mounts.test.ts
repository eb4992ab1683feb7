// A name of something of the device leads where it seems to.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deviceProblem, volumeProblem } from './docker-mounts.ts'

test('folders and volumes are taken as docker run --volume takes them, and nothing that climbs', () => {
  const good = ['/srv/data:/data', '/srv/..data:/data:ro', 'cache:/cache', 'shop_data.1:/d:ro,z', '/:/host']
  for (const volume of good) assert.equal(volumeProblem(volume), null, volume)
  const bad = ['/srv/../etc:/x', '/srv/..:/x', '../etc:/x', '../../x:/x', '~/x:/x', '.:/x', 'a/b:/x', 'a/../../b:/x']
  const worse = ['cache', ':/x', '', 'cache:x', 'cache:/x/../../y', '/a\0b:/x', 'cache:/x:ro:/etc', 'cache:/x:../y']
  for (const volume of [...bad, ...worse]) assert.notEqual(volumeProblem(volume), null, volume)
})

test('device files are taken as docker run --device takes them, and nothing that climbs', () => {
  for (const device of ['/dev/kvm', '/dev/video0:/dev/video1:rw', '/dev/sda:r'])
    assert.equal(deviceProblem(device), null, device)
  for (const device of ['/dev/snd/../sda', '/dev/..', 'kvm', '../dev/kvm', '/dev/kvm:/dev/../etc/x:r', '/dev/a\0'])
    assert.notEqual(deviceProblem(device), null, device)
})
