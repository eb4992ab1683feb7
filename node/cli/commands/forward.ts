// `coppice forward`: a port on this device for an address, as long as the command runs.

import { CoppiceError } from '../../errors.ts'
import type { CliContext } from '../context.ts'
import { onFirstSignal } from '../signals.ts'

export async function forward(
  context: CliContext,
  address: string,
  localPort: number,
  protocol: 'tcp' | 'udp',
): Promise<void> {
  const signal = onFirstSignal()
  const client = await context.client()
  const forwarded = await client.forward({ address, localPort, protocol }, signal)
  const { host, port } = forwarded
  context.answer({ address, protocol, host, port }, () => `${host}:${port}`)
  context.say(`${address} answers at ${host}:${port} until you press Ctrl-C`)
  await forwarded.ended
  if (signal.aborted) return
  throw new CoppiceError('broken-off', 'the node ended the forwarding', 'It may have stopped: see `coppice status`.')
}
