// How much a tunnel's receiver lets its sender have on the way. The window begins small and doubles as long as the
// reader keeps up, so that a fast reader on a long path gets a wide one and a reader that never reads holds little.
// Growth is taken from a purse that all tunnels of a node share.

/** What a new tunnel may have on the way before its reader said anything; both ends know it. */
export const WINDOW_BYTES_MIN = 262_144
/** Fills 1 Gbit/s at 50 ms of round trip (6.25 MB), with room for the time until half of it was read. */
export const WINDOW_BYTES_MAX = 8_388_608
/** What all windows of a node together may have above their beginnings: 8 tunnels at full width. A guess for 1 GiB. */
export const GROWTH_BYTES_MAX = 67_108_864
/** The share of a window that is read before the sender hears of it: fewer credits, and never a sender that waits. */
const SHARE_READ = 0.5

/** Bytes that windows may still grow by; shared by all tunnels of a node. */
export interface Purse {
  bytes: number
}

export interface ReceiveWindow {
  readonly bytes: number
  /** Read by the application since the sender last heard of it. */
  readonly read: number
}

export const openWindow = (): ReceiveWindow => ({ bytes: WINDOW_BYTES_MIN, read: 0 })

export interface WindowChange {
  readonly window: ReceiveWindow
  /** What the sender is told that it may send besides; 0 for nothing. */
  readonly credit: number
}

/** The application read so many bytes; `isDrained`: nothing that came waits for it. */
export function onRead(window: ReceiveWindow, bytes: number, isDrained: boolean, purse: Purse): WindowChange {
  const read = window.read + bytes
  if (read < window.bytes * SHARE_READ) return { window: { ...window, read }, credit: 0 }
  const growth = isDrained ? Math.min(window.bytes, WINDOW_BYTES_MAX - window.bytes, purse.bytes) : 0
  purse.bytes -= growth
  return { window: { bytes: window.bytes + growth, read: 0 }, credit: read + growth }
}

/** The tunnel ended: what it had grown by is there for others. */
export function closeWindow(window: ReceiveWindow, purse: Purse): void {
  purse.bytes += window.bytes - WINDOW_BYTES_MIN
}
