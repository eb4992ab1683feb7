// Shrinks a failing seed's plan to faults that all are needed: delta debugging (Zeller, "Yesterday, my program worked.
// Today, it does not. Why?", ESEC/FSE 1999; the algorithm ddmin of Zeller and Hildebrandt, TSE 2002, section 3.2).

/**
 * A smallest part of `items` (no single one may be left out) for which `fails` is still true; it is for all of them.
 * `fails` is asked at most about n² times, mostly n log n.
 */
export function minimise<T>(items: readonly T[], fails: (kept: readonly T[]) => boolean): readonly T[] {
  let kept = items
  let pieces = 2
  while (kept.length > 0) {
    const size = Math.ceil(kept.length / pieces)
    const starts = Array.from({ length: Math.ceil(kept.length / size) }, (_, index) => index * size)
    const without = (start: number): readonly T[] => [...kept.slice(0, start), ...kept.slice(start + size)]
    const start = starts.find((one) => fails(without(one)))
    if (start !== undefined) {
      kept = without(start)
      pieces = Math.max(pieces - 1, 2)
    } else if (size === 1) return kept
    else pieces = Math.min(kept.length, pieces * 2)
  }
  return kept
}
