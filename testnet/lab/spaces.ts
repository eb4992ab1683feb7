// Namespaces of one's own: what runs in them sees a network, mounts and processes that nobody else has, and all of it
// ends with the process, however it ends.

import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process'

const SPACES = ['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc']
/** `ip netns` keeps its names in a folder of the device; in here they go into memory, and with the mount namespace. */
const ENTER = 'mkdir -p /run/netns && mount -t tmpfs lab /run/netns && exec "$0" "$@"'

/** Runs a program of Node in namespaces of its own; needs root. */
export const runInSpaces = (words: readonly string[], stdio: StdioOptions): ChildProcess =>
  spawn('unshare', [...SPACES, 'sh', '-c', ENTER, process.execPath, ...words], { stdio })
