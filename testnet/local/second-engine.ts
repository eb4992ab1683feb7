// A Docker engine beside the one that DOCKER_HOST names, with images and containers of its own: the engine of another
// device. Only for the namespaces of testnet/lab/with-docker.sh, which take all that it makes along when they end.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import Docker from 'dockerode'
import { PATIENCE_MS, until } from './fleet.ts'

/** Longer than an engine with a few containers takes to end. */
const END_MS_MAX = 20_000
/** Apart from the first engine's, whose bridges are in the same network namespace. */
const ADDRESS_POOL = 'base=10.201.0.0/16,size=24'

export interface SecondEngine {
  /** As DOCKER_HOST has it. */
  readonly host: string
  readonly docker: Docker
  /** What it runs has to be removed before. */
  stop(): Promise<void>
}

export async function startSecondEngine(baseDir: string): Promise<SecondEngine> {
  const folder = join(baseDir, 'engine')
  await mkdir(folder, { recursive: true })
  const socketPath = join(folder, 'docker.sock')
  const host = `unix://${socketPath}`
  // Which of them works on this file system was found out for the first one.
  const { Driver } = (await new Docker().info()) as { readonly Driver: string }
  const at = (name: string): string => join(folder, name)
  const words = ['--host', host, '--data-root', at('data'), '--exec-root', at('exec'), '--pidfile', at('docker.pid')]
  const apart = ['--bridge', 'none', '--iptables=false', '--default-address-pool', ADDRESS_POOL]
  const engine = spawn('dockerd', [...words, ...apart, '--storage-driver', Driver], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const log = createWriteStream(at('dockerd.log'))
  engine.stdout?.pipe(log, { end: false })
  engine.stderr?.pipe(log, { end: false })
  const docker = new Docker({ socketPath, host: undefined })
  const answers = async (): Promise<boolean> => {
    if (engine.exitCode !== null) throw new Error(`dockerd ended with ${engine.exitCode}, see ${at('dockerd.log')}`)
    await docker.ping()
    return true
  }
  await until('the second engine answers', answers, PATIENCE_MS)
  return { host, docker, stop: () => end(engine) }
}

async function end(engine: ChildProcess): Promise<void> {
  if (engine.exitCode !== null) return
  const ended = once(engine, 'exit')
  engine.kill('SIGTERM')
  const late = setTimeout(() => engine.kill('SIGKILL'), END_MS_MAX)
  await ended
  clearTimeout(late)
}
