// The protocols that Coppice speaks on libp2p streams, and how much of each is read before anything is understood.

export const HELLO_PROTOCOL = '/coppice/hello/1.0.0'
export const JOIN_PROTOCOL = '/coppice/join/1.0.0'
export const JOIN_OVER_PROTOCOL = '/coppice/join-over/1.0.0'
export const CONTROL_PROTOCOL = '/coppice/control/2.0.0'
export const CREDENTIAL_PROTOCOL = '/coppice/credential/1.0.0'
export const RENEWAL_PROTOCOL = '/coppice/renewal/1.0.0'
export const TUNNEL_PROTOCOL = '/coppice/tunnel/1.0.0'
export const LINE_PROTOCOL = '/coppice/line/1.0.0'
export const CARRY_PROTOCOL = '/coppice/carry/1.0.0'
export const DIAL_BACK_PROTOCOL = '/coppice/dial-back/2.0.0'
export const OBSERVE_PROTOCOL = '/coppice/observe/1.0.0'
export const PUNCH_PROTOCOL = '/coppice/punch/1.0.0'
export const PUNCH_LINE_PROTOCOL = '/coppice/punch-line/1.0.0'
/** libp2p's own. */
export const PING_PROTOCOL = '/ipfs/ping/1.0.0'
export const RELAY_HOP_PROTOCOL = '/libp2p/circuit/relay/0.2.0/hop'
export const RELAY_STOP_PROTOCOL = '/libp2p/circuit/relay/0.2.0/stop'
export const GOSSIP_PROTOCOLS_PREFIX = '/meshsub/'

/** A hello carries a credential and some hashes of the charter: about 17 KiB at most; twice that is the bound. */
export const HELLO_BYTES_MAX = 32_768
/** What two nodes tell each other before they judge comes in pieces; one more than an entry of the charter may have. */
export const PIECE_BYTES_MAX = 32_768
/** All pieces of one hello: a whole charter at its bound (bootstrap/charter-entry.ts), and room for how it is cut. */
export const PIECES_BYTES_MAX = 12_582_912
/** A hello's verdict: a code and a sentence. */
export const VERDICT_BYTES_MAX = 2_048
/** A request to join, or to renew a credential, which it carries. */
export const REQUEST_BYTES_MAX = 16_384
/** The answer to a join carries the whole charter. */
export const ANSWER_BYTES_MAX = 12_582_912
/** A credential is a compact JWS of about 1 KiB; one from a delegate holds another one. */
export const CREDENTIAL_BYTES_MAX = 16_384
export const CREDENTIAL_HASH_BYTES = 32

/**
 * How long each side has to prove membership on a new connection (DESIGN section 4: "dropped after 5 s"), unless its
 * handshake took long (hello.ts).
 */
export const HELLO_TIMEOUT_MS = 5_000
/** How long one request over a relay, or of a member, may take; longer than the hello's time: it waits for a disk. */
export const JOIN_TIMEOUT_MS = 10_000
/** How long a guest is served that has asked: what it may have to wait for where a hundred others ask. A guess. */
export const JOIN_SERVED_MS_MAX = 60_000
