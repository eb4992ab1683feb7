#!/usr/bin/env node
// The launcher. It is plain old JavaScript, so that a Node that is too old still says in one sentence what is missing.

// biome-ignore-start lint/style/useNodejsImportProtocol: Node 12 does not know the protocol
import { existsSync } from 'fs'
import nodeModule from 'module'
import { fileURLToPath } from 'url'

// biome-ignore-end lint/style/useNodejsImportProtocol: as above

const SOURCE_MAIN = './main.ts'
const BUNDLED_MAIN = '../../dist/cli/main.js'

// Node 22 is the oldest that libp2p 3 starts on; 22.18 the first that runs TypeScript files as they are.
const isCheckout = existsSync(fileURLToPath(new URL(SOURCE_MAIN, import.meta.url)))
const needed = isCheckout ? [22, 18] : [22, 0]
const found = process.versions.node.split('.').map(Number)

if (found[0] < needed[0] || (found[0] === needed[0] && found[1] < needed[1])) {
  const remedy = isCheckout ? 'run `npm run coppice -- ARGS`, which brings its own' : 'see https://nodejs.org'
  console.error(`coppice: needs Node.js ${needed.join('.')} or newer, and this is ${process.versions.node}: ${remedy}.`)
  process.exitCode = 1
} else {
  shareHeaps()
  // What was compiled once need not be again: measured from the checkout, importing a node takes 0.86 s instead of 1.1 s.
  if (nodeModule.enableCompileCache) nodeModule.enableCompileCache()
  import(isCheckout ? SOURCE_MAIN : BUNDLED_MAIN)
    .then((cli) => cli.main(process.argv.slice(2)))
    .then((exitCode) => {
      process.exitCode = exitCode
    })
}

/**
 * A node begins anew with two heaps of the C library for all its threads, instead of one for each: what a thread frees
 * in its own is of no use to the others, 5 to 8 MB in all. The library reads that when a process begins, so the process
 * is replaced, under its id and with its files; where Node cannot do so (before 22.15), it takes the memory.
 */
function shareHeaps() {
  const words = process.argv.slice(2)
  const isNode = words.indexOf('up') !== -1 || words.indexOf('join') !== -1
  if (!isNode || process.platform !== 'linux' || !process.execve || process.env.MALLOC_ARENA_MAX) return
  const itself = [process.execPath].concat(process.execArgv, process.argv.slice(1))
  try {
    process.execve(process.execPath, itself, Object.assign({}, process.env, { MALLOC_ARENA_MAX: '2' }))
  } catch (problem) {
    if (problem.code !== 'ERR_FEATURE_UNAVAILABLE_ON_PLATFORM') console.error(`coppice: ${problem.message}`)
  }
}
