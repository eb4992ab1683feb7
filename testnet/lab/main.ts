// `npm run lab -- [--json] [--only NAME,NAME] [--stories] [--keep]`: paths across real NATs. Needs root, `ip` and
// `nft`. Everything happens in network, mount and process namespaces that end with this process, however it ends;
// nothing of it is visible outside.

import { spawnSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { runInSpaces } from './spaces.ts'

const INSIDE = fileURLToPath(new URL('./inside.ts', import.meta.url))
const WRONG_USAGE = 2
const PROGRAMS = ['ip', 'nft', 'unshare', 'tc', 'sysctl', 'miniupnpd'] as const

const refuse = (text: string): never => {
  process.stderr.write(`lab: ${text}\n`)
  process.exit(WRONG_USAGE)
}

const readWords = () => {
  try {
    const options = {
      json: { type: 'boolean', default: false },
      only: { type: 'string', default: '' },
      stories: { type: 'boolean', default: false },
      keep: { type: 'boolean', default: false },
    } as const
    return parseArgs({ options }).values
  } catch (problem) {
    return refuse((problem as Error).message)
  }
}

const words = readWords()
if (process.getuid?.() !== 0) refuse('needs root, for network namespaces and NAT; run it as root: sudo npm run lab')
const missing = PROGRAMS.filter((name) => spawnSync('sh', ['-c', `command -v ${name}`]).status !== 0)
if (missing.length > 0) refuse(`needs ${missing.join(', ')}; testnet/lab/programs.sh installs what is missing`)

const baseDir = await mkdtemp(join(tmpdir(), 'coppice-lab-'))
const lab = runInSpaces(
  [INSIDE, baseDir, words.json ? 'json' : 'text', words.only, words.stories ? 'stories' : 'matrix'],
  ['ignore', 'inherit', 'inherit'],
)
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => lab.kill('SIGKILL'))
lab.once('exit', async (code) => {
  if (words.keep) process.stderr.write(`the nodes' folders and logs are in ${baseDir}\n`)
  else await rm(baseDir, { recursive: true, force: true })
  process.exitCode = code ?? 1
})
