// `coppice version`: what to name in a bug report.

import packageFacts from '../../../package.json' with { type: 'json' }
import type { CliContext } from '../context.ts'

export function version(context: CliContext): void {
  const facts = {
    version: packageFacts.version,
    node: process.versions.node,
    platform: `${process.platform}-${process.arch}`,
  }
  context.answer(facts, () => `coppice ${facts.version} (Node.js ${facts.node}, ${facts.platform})`)
}
