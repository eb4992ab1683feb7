// A node remembers when its parts are due, and asks them anew only after one of them was told something
// (node/core/timetable.ts). Whoever told a part something by another way would have it sleep on.

import { BrokenRule, type SafetyChecker } from './checker.ts'

export const checkPunctuality = (): SafetyChecker => ({
  onSettled: ({ node, core }) => {
    if (core === null || core.view.isOnTime()) return
    throw new BrokenRule('on-time', `${node} would be woken at another moment if its parts were asked`)
  },
})
