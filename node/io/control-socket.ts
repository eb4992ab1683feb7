// Where a node's control socket is. The kernel takes paths of about a hundred bytes, data folders may be deeper: then
// the folder is reached through a short symbolic link in a private folder, and the socket still lies beside the node's
// keys.

import { mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const CONTROL_SOCKET_NAME = 'control.sock'

/** The HTTP trailer in which a stream that breaks off says why: an ErrorView as JSON, percent-encoded. */
export const ERROR_TRAILER = 'coppice-error'

/** sun_path without its final zero: 108 bytes on Linux (unix(7)), 104 on macOS and the BSDs (unix(4)). */
const SOCKET_PATH_BYTES_MAX = process.platform === 'linux' ? 107 : 103

export const controlSocketPath = (dataDir: string): string => join(resolve(dataDir), CONTROL_SOCKET_NAME)

/**
 * Calls `use` with a path of the node's socket that is short enough to bind or connect to; it is good until `use` is
 * done.
 */
export async function withShortPath<T>(dataDir: string, use: (path: string) => Promise<T>): Promise<T> {
  const path = controlSocketPath(dataDir)
  if (Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX) return use(path)
  const linkFolder = await mkdtemp(join(tmpdir(), 'coppice-'))
  try {
    const link = join(linkFolder, 'data')
    await symlink(resolve(dataDir), link)
    return await use(join(link, CONTROL_SOCKET_NAME))
  } finally {
    await rm(linkFolder, { recursive: true, force: true })
  }
}
