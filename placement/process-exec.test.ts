// What a program beside a process instance is started with; a real shell says whether the words arrive.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { companionArguments, parseEnvironment, terminalArguments } from './process-exec.ts'

test('a command goes through the shell word for word', () => {
  const words = ['a b', "it's", '$HOME', '', '--', '*']
  const { stdout } = spawnSync('/bin/sh', [...companionArguments([], ['printf', '[%s]', ...words])])
  assert.equal(String(stdout), words.map((word) => `[${word}]`).join(''))
})

test('a command for a terminal is quoted so that a shell reads it back word for word', () => {
  const words = ['a b', "it's", '$HOME', '', '`x`', '*', '\\']
  const line = terminalArguments(['printf', '[%s]', ...words], { columns: 80, rows: 24 })[4] ?? ''
  const command = line.slice(line.lastIndexOf('exec '))
  const { stdout } = spawnSync('/bin/sh', ['-c', command])
  assert.equal(String(stdout), words.map((word) => `[${word}]`).join(''))
})

test('an environment is read from what the kernel shows of it', () => {
  assert.deepEqual(parseEnvironment('A=1\0B=x=y\0odd\0=\0'), { A: '1', B: 'x=y' })
})
