// How much one request may ask for. The command line and the socket refuse more, each in its own words.

/** The largest descriptor, in bytes; an application of hundreds of services stays far below. A guess. */
export const DESCRIPTOR_BYTES_MAX = 1_048_576
/** The most instances of one service: what a canonical spec can hold. */
export const REPLICAS_MAX = 10_000
/** The most devices that one invite lets in. A guess: a fleet rolled out from one image. */
export const INVITE_USES_MAX = 10_000
/** The longest life of an invite: a year. A guess. */
export const INVITE_TTL_MS_MAX = 365 * 24 * 3_600_000
/** The most lines from the end of a log; whoever wants more takes all. A guess. */
export const LOG_LINES_MAX = 1_000_000
/** How far back a log may be asked for: a year, as overlay/tunnel.ts carries it. */
export const LOG_SINCE_MS_MAX = 365 * 24 * 3_600_000
/** A charter as text: twice what bootstrap/charter-entry.ts allows in bytes, and a line end for each entry. */
export const CHARTER_FILE_CHARS_MAX = 16_777_216
export const CHARTER_LINES_MAX = 16_384
/** bootstrap/charter-entry.ts */
export const THRESHOLD_WORDS = ['majority', 'two-thirds', 'all'] as const
