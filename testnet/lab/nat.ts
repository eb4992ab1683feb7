// What a router does to those behind it, as nftables rules: the kinds of RFC 3489, by how Linux really translates. The
// kernel keeps a sender's port where it can, so that a mapping is the same for all destinations; what tells the kinds
// apart is whom the router lets in.

/**
 * `full-cone`: whoever knows the mapping gets in. `address-restricted`: whoever's address was spoken to from it.
 * `port-restricted`: whoever was spoken to, by address and port. `symmetric`: the same, and each destination sees
 * another port. `port-restricted-no-udp`: as a network that drops all UDP.
 */
export type NatKind = 'full-cone' | 'address-restricted' | 'port-restricted' | 'symmetric' | 'port-restricted-no-udp'

/** How long a mapping that nobody uses is kept; RFC 4787 asks for two minutes at least. */
const MAPPING_S = 300

/** The rules of a router between the interfaces `lan` and `wan`. */
export function natRules(kind: NatKind): string {
  const masquerade = kind === 'symmetric' ? 'masquerade fully-random' : 'masquerade'
  return `
table ip nat {
  chain postrouting { type nat hook postrouting priority 100; oifname "wan" ${masquerade}; }
}
${conesOf(kind)}
table ip filter {
  chain input { type filter hook input priority 0; iifname "wan" ct state != { established, related } drop; }
  chain forward {
    type filter hook forward priority 0;
    ${kind === 'port-restricted-no-udp' ? 'meta l4proto udp drop;' : ''}
    iifname "wan" ct status dnat accept;
    iifname "wan" ct state != { established, related } drop;
  }
}
`
}

/** Lets new flows in that a mapping stands for: the kernel by itself only knows those that were begun from inside. */
function conesOf(kind: NatKind): string {
  if (kind !== 'full-cone' && kind !== 'address-restricted') return ''
  const isKnown = kind === 'address-restricted' ? 'ip saddr . meta l4proto . th dport @spoken ' : ''
  return `
table ip cone {
  map mappings {
    type inet_proto . inet_service : ipv4_addr; flags dynamic, timeout; timeout ${MAPPING_S}s;
  }
  set spoken {
    type ipv4_addr . inet_proto . inet_service; flags dynamic, timeout; timeout ${MAPPING_S}s;
  }
  chain outbound {
    type filter hook postrouting priority 90;
    oifname "wan" meta l4proto { tcp, udp } update @spoken { ip daddr . meta l4proto . th sport };
    oifname "wan" meta l4proto { tcp, udp } update @mappings { meta l4proto . th sport : ip saddr };
  }
  chain inbound {
    type nat hook prerouting priority -100;
    iifname "wan" meta l4proto { tcp, udp } ${isKnown}dnat to meta l4proto . th dport map @mappings;
  }
}`
}
