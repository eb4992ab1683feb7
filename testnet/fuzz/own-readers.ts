// Readers that need no fuzzing, because what they read was written by the device itself, and why one may believe that.
// Whoever can change it is the device's user, and can do more than that.

/** By file. */
export const OWN_READERS: Readonly<Record<string, string>> = {
  'bootstrap/io/key-file.ts': 'the keys in the node’s folder, which only its owner may write',
  'node/audit-log.ts': 'the node’s own disk',
  'node/boot.ts': 'the node’s own disk',
  'node/build.ts': 'the package.json of this repository, while it is built',
  'node/cli/commands/descriptor-file.ts': 'a path on the command line; what is in the file goes to parseDescriptor',
  'node/cli/commands/member.ts': 'the answer of one’s own node',
  'node/cli/commands/move.ts': 'a word on the command line',
  'node/device.ts': 'starts the measurements of the device',
  'node/federate/carried.ts': 'the node’s own disk',
  'node/io/control-client.ts': 'the answers of one’s own node',
  'node/io/ports.ts': 'the node’s own disk',
  'node/io/registry-file.ts': 'a file in the node’s folder, which only its owner may write',
  'node/io/secret-file.ts': 'a file in the node’s folder, which only its owner may write',
  'node/view.ts': 'a record that was decoded when it came',
  'node/ways-in.ts': 'a word on the command line',
  'placement/host-reading.ts': 'what the kernel says of its network devices',
  'placement/image-keeping.ts': 'the node’s own disk',
  'placement/io/cgroups.ts': 'what the kernel says',
  'placement/io/docker-engine.ts': 'what the device’s own engine says',
  'placement/io/docker-layers.ts': 'an archive of the device’s own engine',
  'placement/io/instance-folder.ts': 'the node’s own disk',
  'placement/io/process-table.ts': 'what the kernel says',
  'placement/io/process-usage.ts': 'what the kernel says',
  'placement/pressure.ts': 'the node’s own disk',
  'placement/process-launch.ts': 'the node’s own disk',
  'placement/user-scheduler.ts': 'what a module says that the device’s user chose to run',
}
