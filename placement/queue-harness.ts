// For the tests of this folder only: things that happen at a time, in order, without any real time passing.

interface Event {
  readonly at: number
  readonly act: () => void
}

export class EventQueue {
  now = 1_000
  readonly #events: Event[] = []

  /** Does something in `ms`; of several at one time, what was asked for first. */
  after(ms: number, act: () => void): void {
    const at = this.now + Math.max(0, ms)
    let place = this.#events.length
    while (place > 0 && (this.#events[place - 1] as Event).at > at) place -= 1
    this.#events.splice(place, 0, { at, act })
  }

  every(ms: number, act: () => void): void {
    this.after(ms, () => {
      act()
      this.every(ms, act)
    })
  }

  run(ms: number): void {
    const until = this.now + ms
    for (;;) {
      const next = this.#events[0]
      if (next === undefined || next.at > until) break
      this.#events.shift()
      this.now = Math.max(this.now, next.at)
      next.act()
    }
    this.now = until
  }
}
