// `coppice audit`: the orders that this node holds, as they were signed; `coppice stats`: what instances use.

import type { AuditView, StatsView, UsageView } from '../../control.ts'
import type { CliContext } from '../context.ts'
import { table } from '../render.ts'

export async function audit(context: CliContext, service: string | null): Promise<void> {
  const all = await (await context.client()).audit(service)
  context.answer(all, () => table(['AT', 'SERVICE', 'STEP', 'BY', 'OPERATOR', 'REASON'], all.map(row)))
}

const row = ({ at, service, number, step, node, operator, to, reason }: AuditView): string[] => [
  at,
  number === null ? service : `${service}#${number}`,
  to === null ? step : `${step}: ${to}`,
  node,
  operator,
  reason,
]

export async function usage(context: CliContext): Promise<void> {
  const all = await (await context.client()).usage()
  const promised = ['INSTANCE-HOURS', 'PROMISED CORE-SECONDS', 'GB-HOURS']
  const head = ['SERVICES OF', 'ON DEVICES OF', ...promised, 'USED CPU-SECONDS', 'GB-HOURS', 'CARRIED MB']
  context.answer(all, () => table(head, all.map(usageRow)))
}

const usageRow = (one: UsageView): string[] => [
  one.operator,
  one.owner,
  (one.instanceSeconds / 3_600).toFixed(2),
  one.coreSeconds.toFixed(0),
  one.gbHours.toFixed(3),
  one.usedCpuSeconds.toFixed(1),
  one.usedGbHours.toFixed(3),
  (one.carriedBytes / 1e6).toFixed(2),
]

export async function stats(context: CliContext): Promise<void> {
  const all = await (await context.client()).stats()
  context.answer(all, () => table(['INSTANCE', 'CPU-SECONDS', 'MEMORY MB'], all.map(statsRow)))
}

const statsRow = ({ service, number, cpuSeconds, memoryMb }: StatsView): string[] => [
  `${service}#${number}`,
  cpuSeconds?.toFixed(2) ?? '',
  memoryMb?.toFixed(1) ?? '',
]
