// A healthy cluster on a machine with something else to do: nobody may lose its leader because a processor is busy.

import { setTimeout as delay } from 'node:timers/promises'
import { keepBusy } from '../local/busy.ts'
import { type Figure, loadNow } from './figures.ts'
import { type Stage, whole } from './stage.ts'

const REPORT_MS = 60_000

/** Counts changes of leader, in any domain, over so many minutes with every core busy. */
export async function stayHealthy(stage: Stage, minutes: number): Promise<readonly Figure[]> {
  await whole(stage)
  const startedMs = Date.now()
  stage.watch.forget(startedMs)
  const told = (name: string): number => stage.watch.since(startedMs).filter((one) => one.name === name).length
  const rest = keepBusy()
  try {
    for (const endMs = startedMs + minutes * 60_000; Date.now() < endMs; ) {
      await delay(Math.min(REPORT_MS, endMs - Date.now()))
      const minute = Math.round((Date.now() - startedMs) / 60_000)
      const doubts = `${told('leader-lost')} times a leader seemed lost, ${told('node-suspect')} suspicions`
      console.error(`healthy, minute ${minute}: ${told('leader-elected')} elections, ${doubts} (${loadNow()})`)
    }
  } finally {
    rest()
  }
  const changes = told('leader-elected') + told('leadership-ended')
  return [{ what: `changes of leader in ${minutes} minutes with every core busy`, value: changes, target: 0, unit: '' }]
}
