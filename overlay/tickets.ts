// What a connection shows that was agreed on before, on another one: a first byte that says what it is for, and a
// ticket that is good once. So it shares the port that libp2p listens on, and costs no handshake.

/** In hexadecimal digits. */
export const TICKET_CHARS = 32
export const PREAMBLE_BYTES = 1 + TICKET_CHARS

/** What stands in front of such a connection. `first` is a byte with which neither libp2p nor TLS begins. */
export const preamble = (first: number, ticket: string): Uint8Array =>
  Uint8Array.of(first, ...new TextEncoder().encode(ticket))

/** The ticket in a preamble. */
export const ticketIn = (bytes: Uint8Array): string => new TextDecoder().decode(bytes.subarray(1))
