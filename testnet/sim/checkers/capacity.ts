// A device never runs more than it has, whatever was promised to whom.

import { fits, NOTHING, plus } from '../../../placement/need.ts'
import { BrokenRule, type SafetyChecker } from './checker.ts'

export function checkCapacity(): SafetyChecker {
  return {
    onStarted: ({ node, facts, instances }) => {
      const use = [...instances.values()].reduce((sum, { need }) => plus(sum, need), NOTHING)
      const { cores, memoryMb } = facts
      if (fits({ ...NOTHING, vcpus: cores, memoryMb, storageMb: Number.MAX_VALUE }, use)) return
      const has = `${cores} cores and ${memoryMb} MB`
      throw new BrokenRule('within-capacity', `${node} with ${has} runs ${use.vcpus} cores and ${use.memoryMb} MB`)
    },
  }
}
