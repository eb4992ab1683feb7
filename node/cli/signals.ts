// Ctrl-C and SIGTERM. The first asks for an orderly end; whoever asks a second time gets one at once.

const FORCED = 1

/** Aborts at the first signal to end; the second ends the process. */
export function onFirstSignal(): AbortSignal {
  const first = new AbortController()
  const hear = (): void => {
    if (first.signal.aborted) process.exit(FORCED)
    first.abort()
  }
  process.on('SIGINT', hear)
  process.on('SIGTERM', hear)
  return first.signal
}
