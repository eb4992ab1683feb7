// For the tests of this folder only: things that happen at a time, in order, without any real time passing.

export class EventQueue {
  now = 1_000
  /** What happens at a time, and all those times in order. */
  readonly #acts = new Map<number, (() => void)[]>()
  readonly #times: number[] = []

  /** Does something in `ms`; of several at one time, what was asked for first. */
  after(ms: number, act: () => void): void {
    const at = this.now + Math.max(0, ms)
    const acts = this.#acts.get(at)
    if (acts !== undefined) {
      acts.push(act)
      return
    }
    this.#acts.set(at, [act])
    let place = this.#times.length
    while (place > 0 && (this.#times[place - 1] as number) > at) place -= 1
    this.#times.splice(place, 0, at)
  }

  every(ms: number, act: () => void): void {
    this.after(ms, () => {
      act()
      this.every(ms, act)
    })
  }

  run(ms: number): void {
    const until = this.now + ms
    for (let at = this.#times[0]; at !== undefined && at <= until; at = this.#times[0]) {
      this.now = Math.max(this.now, at)
      // What is added to this time while it passes is done too: the list is read as it grows.
      for (const act of this.#acts.get(at) ?? []) act()
      this.#acts.delete(at)
      this.#times.shift()
    }
    this.now = until
  }
}
