// How an end is told: from the status that a shell or an engine gives to a code and a sentence that a person
// understands.

/** Longest quote of an instance's last words, in characters; a record's reason holds 500. */
const QUOTE_LENGTH_MAX = 200

/** A shell and Docker report "ended by signal n" as 128 + n (POSIX, shell command language, 2.8.2). */
const SIGNAL_STATUS_BASE = 128

/** Signal numbers of Linux on the architectures that Node supports. */
const SIGNAL_NAMES: ReadonlyMap<number, string> = new Map([
  [1, 'SIGHUP'],
  [2, 'SIGINT'],
  [3, 'SIGQUIT'],
  [4, 'SIGILL'],
  [5, 'SIGTRAP'],
  [6, 'SIGABRT'],
  [7, 'SIGBUS'],
  [8, 'SIGFPE'],
  [9, 'SIGKILL'],
  [11, 'SIGSEGV'],
  [13, 'SIGPIPE'],
  [14, 'SIGALRM'],
  [15, 'SIGTERM'],
  [24, 'SIGXCPU'],
  [25, 'SIGXFSZ'],
  [31, 'SIGSYS'],
])

export interface ExitFacts {
  /** 0 to 255 as a shell tells it; null when nobody saw the end. */
  readonly status: number | null
  /** Whether we asked for the end, and whether it took SIGKILL after so many ms. */
  readonly asked:
    | { readonly kind: 'no' }
    | { readonly kind: 'stop' }
    | { readonly kind: 'kill'; readonly graceMs: number }
  /** The memory limit in MB when the kernel ended it for exceeding it; null otherwise. */
  readonly outOfMemoryMb: number | null
  /** The last line that it wrote; empty when there is none. */
  readonly lastLine: string
}

export interface ExitReport {
  /** Null when unknown or when a signal ended it. */
  readonly code: number | null
  readonly detail: string
}

/** The signal that a shell's status stands for; a program that itself exits with 128 + n cannot be told apart. */
export const signalOf = (status: number): string | null => SIGNAL_NAMES.get(status - SIGNAL_STATUS_BASE) ?? null

/** The status by which a shell tells that a signal ended a program; null for one that is not in our table. */
export function signalStatus(signal: string): number | null {
  for (const [number, name] of SIGNAL_NAMES) if (name === signal) return SIGNAL_STATUS_BASE + number
  return null
}

/** The code and the sentence for an instance that ended. */
export function reportExit(facts: ExitFacts): ExitReport {
  const { status, asked } = facts
  const signal = status === null ? null : signalOf(status)
  const code = signal === null ? status : null
  if (asked.kind === 'kill')
    return { code, detail: `stopped by SIGKILL: it had not ended ${asked.graceMs} ms after SIGTERM` }
  if (asked.kind === 'stop')
    return { code, detail: status === null ? 'stopped' : `stopped (${manner(status, signal)})` }
  if (facts.outOfMemoryMb !== null) {
    return { code, detail: `ended by the kernel: it used more than its ${facts.outOfMemoryMb} MB of memory` }
  }
  if (status === null) return { code, detail: 'ended while nobody watched; its exit code is not known' }
  return { code, detail: `ended by itself (${manner(status, signal)})${status === 0 ? '' : quote(facts.lastLine)}` }
}

const manner = (status: number, signal: string | null): string => (signal === null ? `exit code ${status}` : signal)

/** The instance's last words as the end of a sentence; empty when it said nothing. */
export function quote(line: string): string {
  const words = line.trim()
  if (words === '') return ''
  const cut = words.length > QUOTE_LENGTH_MAX ? `${words.slice(0, QUOTE_LENGTH_MAX)}…` : words
  return `; last output: ${cut}`
}
