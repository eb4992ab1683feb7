// The node's figures in the text format of Prometheus, gathered when they are asked for.

import type { Gauge } from 'prom-client'
import type { Member } from '../node.ts'
import { shownOf } from '../shown.ts'
import { instanceViews } from '../view.ts'

export async function metricsOf(member: Member): Promise<string> {
  // Most nodes are never asked, and to load it takes 10 ms of processor time.
  const metrics = await import('prom-client')
  const { view } = member.core
  const registry = new metrics.Registry()
  const gauge = (name: string, help: string, labelNames: readonly string[] = []): Gauge =>
    new metrics.Gauge({ name, help, labelNames: [...labelNames], registers: [registry] })

  gauge('coppice_peers_connected', 'Peers with at least one connection.').set(member.network.connectedPeers().length)
  const members = gauge('coppice_members', 'Members of the cluster by state.', ['state'])
  for (const { state } of view.roster().values()) members.inc({ state })
  const instances = gauge('coppice_instances', 'Instances that this node knows of, by state.', ['state'])
  for (const { state } of instanceViews(shownOf(view))) instances.inc({ state })
  const terms = gauge('coppice_term', 'The term of the leader that this node knows.', ['domain'])
  const leads = gauge('coppice_leads', '1 where this node leads the domain.', ['domain'])
  for (const domain of view.leaders().domains()) {
    const known = view.leaders().leaderOf(domain)
    terms.set({ domain }, known?.announcement.term ?? 0)
    leads.set({ domain }, known?.announcement.node === view.self.node ? 1 : 0)
  }
  const counted = gauge('coppice_counted', 'Things counted since the start.', ['what'])
  for (const [what, count] of member.counters) counted.set({ what }, count)
  for (const [what, count] of Object.entries(member.network.counters())) counted.set({ what }, count)
  gauge('process_resident_memory_bytes', 'Resident memory of the node.').set(process.memoryUsage.rss())
  return registry.metrics()
}
