// The text of a descriptor: JSON or YAML, whichever it is, as a plain value that is not too large and not too deep; and
// where in a YAML text something stands.

import { isCompose } from './compose-settle.ts'
import { type FieldError, isObject, type Report, refuse, warn } from './descriptor-report.ts'
import { readJson } from './json.ts'
import { readYaml, type YamlText } from './yaml.ts'

/** Characters of a descriptor. Far above any real one. */
export const DESCRIPTOR_CHARS_MAX = 512 * 1_024
/** Of YAML, which takes 5 to 18 ms for 1,000 characters: a node that reads it does nothing else meanwhile. */
const YAML_CHARS_MAX = 64 * 1_024

/** How deep a descriptor may be nested; far above any real one, and far below what ends the stack. */
const DEPTH_MAX = 64

export interface PlainText {
  readonly value: unknown
  readonly lineOf: YamlText['lineOf']
}

/** Whatever does not begin as JSON does is YAML; the lines of JSON are not kept. */
export function readText(report: Report, text: string): PlainText {
  const nothing: PlainText = { value: null, lineOf: () => undefined }
  if (text.length > DESCRIPTOR_CHARS_MAX) {
    refuse(report, '$', `the descriptor has ${text.length} characters`, `at most ${DESCRIPTOR_CHARS_MAX} characters`)
    return nothing
  }
  if (/^\s*[{[]/.test(text)) {
    const json = readJson(text)
    if (json.ok) return withinDepth(report, { ...nothing, value: json.value })
    const { line, column, problem } = json.error
    const found = `not JSON: line ${line}, column ${column}: ${problem}`
    const loose = looseJson(text)
    if (loose !== null) {
      warn(report, '$', `${found}; it is read as YAML, which allows it`)
      return withinDepth(report, loose)
    }
    refuse(report, '$', found, 'an SLA descriptor in JSON')
    return nothing
  }
  if (text.length > YAML_CHARS_MAX) {
    const problem = `the descriptor has ${text.length} characters of YAML`
    refuse(report, '$', problem, `at most ${YAML_CHARS_MAX} characters, or JSON`)
    return nothing
  }
  const yaml = readYaml(text)
  for (const { line, problem } of yaml.problems) {
    const found: FieldError = { field: '$', problem: `not YAML: ${problem}`, expected: 'YAML, or JSON', line }
    report.errors.push(found)
  }
  return withinDepth(report, yaml)
}

/** JSON with a comma too many, as in Oakestra's reference, is YAML; null where the text is no descriptor even so. */
function looseJson(text: string): PlainText | null {
  if (text.length > YAML_CHARS_MAX) return null
  const yaml = readYaml(text)
  const isDescriptor = isObject(yaml.value) && Array.isArray(yaml.value.applications)
  return isDescriptor || isCompose(yaml.value) ? yaml : null
}

function withinDepth(report: Report, text: PlainText): PlainText {
  if (!isDeeper(text.value, DEPTH_MAX)) return text
  refuse(report, '$', `is nested more than ${DEPTH_MAX} deep`, `at most ${DEPTH_MAX} lists and objects in each other`)
  return { ...text, value: null }
}

function isDeeper(raw: unknown, levels: number): boolean {
  if (typeof raw !== 'object' || raw === null) return false
  return levels === 0 || Object.values(raw).some((inner) => isDeeper(inner, levels - 1))
}
