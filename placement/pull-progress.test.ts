// What is told of a pull, and how often.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { onPullLine, type PullTable, pullSentence } from './pull-progress.ts'

test('a pull is told in layers and megabytes', () => {
  const table: PullTable = new Map()
  assert.equal(pullSentence('nginx:latest', table), 'pulling nginx:latest')
  onPullLine(table, { id: 'latest', status: 'Pulling from library/nginx' })
  onPullLine(table, { id: 'a', status: 'Already exists' })
  onPullLine(table, { id: 'b', status: 'Pulling fs layer' })
  assert.equal(pullSentence('nginx:latest', table), 'pulling nginx:latest: 1 of 2 layers')
  onPullLine(table, { id: 'b', status: 'Downloading', progressDetail: { current: 1_500_000, total: 4_000_000 } })
  assert.equal(pullSentence('nginx:latest', table), 'pulling nginx:latest: 1 of 2 layers, 1.5 of 4.0 MB')
  onPullLine(table, { id: 'b', status: 'Pull complete' })
  assert.equal(pullSentence('nginx:latest', table), 'pulling nginx:latest: 2 of 2 layers, 1.5 of 4.0 MB')
})
