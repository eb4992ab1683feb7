// What follows from an object alone and costs something: worked out once for the same object, and forgotten with it.

/** `compute` has to be pure, and its objects must not change: specs, envelopes and records do not. */
export function oncePerObject<K extends object, V>(compute: (object: K) => V): (object: K) => V {
  const known = new WeakMap<K, { readonly value: V }>()
  return (object) => {
    const before = known.get(object)
    if (before !== undefined) return before.value
    const value = compute(object)
    known.set(object, { value })
    return value
  }
}
