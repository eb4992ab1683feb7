// Two places with one wire between them: network namespaces with a veth pair where this process may make them (root,
// Linux), otherwise loopback for both, and a line that says so.

import { spawnSync } from 'node:child_process'

export interface Place {
  /** The address under which the other place reaches it. */
  readonly address: string
  /** Words before a command that shall run there; the process keeps its id. */
  readonly prefix: readonly string[]
}

export interface TwoPlaces {
  readonly near: Place
  readonly far: Place
  readonly isOneWire: boolean
  close(): void
}

/** Of 10/8, hardly used by anybody. */
const NET = '10.177.33'

export function openTwoPlaces(): TwoPlaces {
  const names = ['near', 'far'].map((side) => `coppice-${side}-${process.pid}`) as [string, string]
  const close = (): void => {
    for (const name of names) ip('netns', 'delete', name)
  }
  process.once('exit', close)
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))
  const [near, far] = names
  const isMade =
    process.platform === 'linux' &&
    process.getuid?.() === 0 &&
    ip('netns', 'add', near) &&
    ip('netns', 'add', far) &&
    ip('link', 'add', 'wire', 'netns', near, 'type', 'veth', 'peer', 'name', 'wire', 'netns', far) &&
    names.every((name, index) => {
      const inside = (...words: readonly string[]): boolean => ip('-n', name, ...words)
      const address = `${NET}.${index + 1}/24`
      return (
        inside('addr', 'add', address, 'dev', 'wire') &&
        inside('link', 'set', 'wire', 'up') &&
        inside('link', 'set', 'lo', 'up')
      )
    })
  if (!isMade) {
    console.log('No two network namespaces here (they take Linux and root): all of it runs on loopback.')
    close()
    const here: Place = { address: '127.0.0.1', prefix: [] }
    return { near: here, far: here, isOneWire: false, close: () => undefined }
  }
  const placeOf = (index: 0 | 1): Place => ({
    address: `${NET}.${index + 1}`,
    prefix: ['ip', 'netns', 'exec', names[index]],
  })
  return { near: placeOf(0), far: placeOf(1), isOneWire: true, close }
}

const ip = (...words: readonly string[]): boolean => spawnSync('ip', words, { stdio: 'ignore' }).status === 0
