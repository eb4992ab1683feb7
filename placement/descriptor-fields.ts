// The fields of a microservice that have a grammar of their own: commands, ports, environment, volumes, devices, files.

import { readAddedFile } from './added-files.ts'
import { type Field, honoured, orOpen } from './descriptor-field.ts'
import { fieldOf, isObject, isOpen, type Place, refuse, show, textOf, warn } from './descriptor-report.ts'
import { deviceProblem, volumeProblem } from './docker-mounts.ts'
import type { ServiceSpec } from './spec.ts'

const COMMAND_WORDS_MAX = 256
const ENVIRONMENT_MAX = 256
const LABELS_MAX = 64
const PORTS_MAX = 64
const VOLUMES_MAX = 64
const DEVICES_MAX = 32
const FILES_MAX = 32

/** A list of words, or one text that is split as a shell would: quotes keep words together, nothing is expanded. */
export const command = (about: string): Field<readonly string[]> => {
  const listed = { type: 'array', maxItems: COMMAND_WORDS_MAX, items: { type: ['string', 'number'] } }
  return honoured(about, orOpen({ type: 'string' }, listed), readCommand)
}

/** As `command`; null where nothing is said. */
export const optionalCommand = (about: string): Field<readonly string[] | null> => ({
  ...command(about),
  read: (place, key) => (isOpen(place.raw[key]) ? null : readCommand(place, key)),
})

export function readCommand(place: Place, key: string): readonly string[] {
  const raw = place.raw[key]
  if (isOpen(raw)) return []
  const expected = `a list of at most ${COMMAND_WORDS_MAX} texts, e.g. ["node", "server.js"], or one text`
  if (Array.isArray(raw)) {
    const isPlain = raw.every((word) => typeof word === 'string' || typeof word === 'number')
    if (isPlain && raw.length <= COMMAND_WORDS_MAX) return raw.map(String)
    refuse(place.report, fieldOf(place, key), isPlain ? `has ${raw.length} words` : 'a word is no text', expected)
    return []
  }
  const split = typeof raw === 'string' ? splitWords(raw) : null
  if (split !== null && split.length <= COMMAND_WORDS_MAX) return split
  const problem =
    typeof raw === 'string' ? 'a quote is not closed, or there are too many words' : `${show(raw)} is no command`
  refuse(place.report, fieldOf(place, key), problem, expected)
  return []
}

/** Null when a quote is not closed. */
export function splitWords(text: string): string[] | null {
  const found: string[] = []
  let word: string | null = null
  let quote = ''
  for (let at = 0; at < text.length; at++) {
    const character = text[at] as string
    if (character === '\\' && quote !== "'" && at + 1 < text.length) word = (word ?? '') + text[++at]
    else if (quote !== '') {
      if (character === quote) quote = ''
      else word += character
    } else if (character === '"' || character === "'") {
      quote = character
      word = word ?? ''
    } else if (/\s/.test(character)) {
      if (word !== null) found.push(word)
      word = null
    } else word = (word ?? '') + character
  }
  if (quote !== '') return null
  return word === null ? found : [...found, word]
}

export type Port = ServiceSpec['ports'][number]
const PORT_EXPECTED = '80, "80:8080" (callers\' port, then the program\'s), "80:8080/udp", or several with ";" between'

const PORT_PATTERN = '(?:\\d{1,5}(?::\\d{1,5})?(?:/(?:[tT][cC][pP]|[uU][dD][pP]))?)'
const PORT_LIST = `^\\s*${PORT_PATTERN}?\\s*(?:;\\s*${PORT_PATTERN}?\\s*)*$`

/** `80`, `"80"`, `"80:8080"`, `"80:8080/udp"`; several with `;` or in a list. */
export const ports = (about: string): Field<readonly Port[]> => {
  const number = { type: 'integer', minimum: 0, maximum: 65_535 }
  const text = { type: 'string', pattern: PORT_LIST }
  const listed = { type: 'array', items: { anyOf: [{ ...number, minimum: 1 }, text] } }
  return honoured(about, orOpen(number, text, listed), readPorts)
}

function readPorts(place: Place, key: string): readonly Port[] {
  const raw = place.raw[key]
  if (isOpen(raw) || raw === 0) return []
  const field = fieldOf(place, key)
  const pieces = (Array.isArray(raw) ? raw : [raw])
    .flatMap((item) =>
      typeof item === 'string' ? item.split(';') : [typeof item === 'number' ? String(item) : show(item)],
    )
    .map((piece) => piece.trim())
    .filter((piece) => piece !== '')
  const ports = new Map<string, Port>()
  for (const piece of pieces) {
    const port = readPort(piece)
    if (port === null) refuse(place.report, field, `${show(piece)} is no port`, PORT_EXPECTED)
    else if (ports.has(`${port.declared}/${port.protocol}`))
      refuse(place.report, field, `the port ${port.declared}/${port.protocol} stands here twice`, PORT_EXPECTED)
    else ports.set(`${port.declared}/${port.protocol}`, port)
  }
  if (ports.size > PORTS_MAX) refuse(place.report, field, `names ${ports.size} ports`, `at most ${PORTS_MAX} ports`)
  return [...ports.values()].slice(0, PORTS_MAX)
}

function readPort(piece: string): Port | null {
  const match = /^(\d{1,5})(?::(\d{1,5}))?(?:\/(tcp|udp))?$/i.exec(piece)
  if (match === null) return null
  const declared = Number(match[1])
  const internal = Number(match[2] ?? match[1])
  const inRange = (port: number): boolean => port >= 1 && port <= 65_535
  if (!inRange(declared) || !inRange(internal)) return null
  return { declared, internal, protocol: match[3]?.toLowerCase() === 'udp' ? 'udp' : 'tcp' }
}

interface PairBounds {
  /** A pattern for the names. */
  readonly name: string
  readonly valueCharsMax: number
  readonly entriesMax: number
}
const VARIABLES: PairBounds = { name: '[^=\\0]{1,256}', valueCharsMax: 8_192, entriesMax: ENVIRONMENT_MAX }
const LABELS: PairBounds = { name: '[A-Za-z0-9._/-]{1,63}', valueCharsMax: 255, entriesMax: LABELS_MAX }
const LABEL_NAME = new RegExp(`^(?:${LABELS.name})$`)

export const isLabelName = (name: string): boolean => LABEL_NAME.test(name)

/** An object, or a list of `NAME=value`. */
export const environment = (about: string): Field<Readonly<Record<string, string>>> => pairs(about, VARIABLES)

/** An object, or a list of `label=value`. */
export const labels = (about: string): Field<Readonly<Record<string, string>>> => pairs(about, LABELS)

function pairs(about: string, bounds: PairBounds): Field<Readonly<Record<string, string>>> {
  const { name, valueCharsMax, entriesMax } = bounds
  const mapped = {
    type: 'object',
    maxProperties: entriesMax,
    propertyNames: { pattern: `^(?:${name})$` },
    additionalProperties: { type: ['string', 'number', 'boolean', 'null'], maxLength: valueCharsMax },
  }
  const listed = {
    type: 'array',
    maxItems: entriesMax,
    items: { type: 'string', pattern: `^(?:${name})(?:=[\\s\\S]*)?$` },
  }
  return honoured(about, orOpen(mapped, listed), (place, key) => readPairs(place, key, bounds))
}

function readPairs(
  place: Place,
  key: string,
  { name, valueCharsMax, entriesMax }: PairBounds,
): Readonly<Record<string, string>> {
  const raw = place.raw[key]
  if (isOpen(raw)) return {}
  const isName = new RegExp(`^(?:${name})$`)
  const field = fieldOf(place, key)
  const pairs = pairsOf(raw)
  if (pairs === null || pairs.length > entriesMax) {
    const problem =
      pairs === null ? `${show(raw)} is neither an object nor a list of NAME=value` : `has ${pairs.length} entries`
    refuse(place.report, field, problem, `at most ${entriesMax} entries, as {"NAME": "value"} or ["NAME=value"]`)
    return {}
  }
  const found: [string, string][] = []
  for (const [label, value] of pairs) {
    if (!isName.test(label)) refuse(place.report, field, `${show(label)} is no name`, 'letters, digits, "_", "-", "."')
    else if (value === null || value.length > valueCharsMax)
      refuse(place.report, `${field}.${label}`, 'is no text or too long', `text of at most ${valueCharsMax} characters`)
    else found.push([label, value])
  }
  return Object.fromEntries(found)
}

function pairsOf(raw: unknown): (readonly [string, string | null])[] | null {
  const plain = (value: unknown): string | null => {
    if (value === null || value === undefined) return ''
    return ['string', 'number', 'boolean'].includes(typeof value) ? String(value) : null
  }
  if (isObject(raw)) return Object.entries(raw).map(([name, value]) => [name, plain(value)])
  if (!Array.isArray(raw) || !raw.every((item) => typeof item === 'string')) return null
  return raw.map((item: string) => {
    const cut = item.indexOf('=')
    return cut < 0 ? [item, ''] : [item.slice(0, cut), item.slice(cut + 1)]
  })
}

/** Texts in a list, or Oakestra's and Compose's objects; one text with `;` between is taken too. */
export const volumes = (about: string): Field<readonly string[]> => {
  const text = { type: 'string', maxLength: VOLUME_CHARS_MAX }
  const keys = ['volume_id', 'csi_driver', 'mount_path', 'source', 'target', 'read_only']
  const mount = { type: 'object', properties: Object.fromEntries(keys.map((key) => [key, {}])) }
  const listed = { type: 'array', maxItems: VOLUMES_MAX, items: { anyOf: [text, mount] } }
  return honoured(about, orOpen({ type: 'string' }, listed), readVolumes)
}

const VOLUME_CHARS_MAX = 1_024
const VOLUME_EXPECTED = 'a list like ["/data:/var/lib/data", {"volume_id": "cache", "mount_path": "/cache"}]'

function readVolumes(place: Place, key: string): readonly string[] {
  const raw = place.raw[key]
  if (isOpen(raw)) return []
  const field = fieldOf(place, key)
  const items = typeof raw === 'string' ? raw.split(';').filter((item) => item.trim() !== '') : raw
  if (!Array.isArray(items) || items.length > VOLUMES_MAX) {
    refuse(place.report, field, `${show(raw)} is no list of volumes`, VOLUME_EXPECTED)
    return []
  }
  return items.flatMap((item, index) => {
    const text = isObject(item) ? mountText(place, `${field}[${index}]`, item) : item
    const isText = typeof text === 'string' && text.length <= VOLUME_CHARS_MAX
    const problem = isText ? volumeProblem(text) : `${show(item)} is no volume`
    if (isText && problem === null) return [text]
    refuse(place.report, `${field}[${index}]`, problem ?? '', VOLUME_EXPECTED)
    return []
  })
}

/** Oakestra names a volume and its driver (`csi_driver`); here Docker keeps it on the device. */
function mountText(place: Place, field: string, item: Readonly<Record<string, unknown>>): string | null {
  const source = item.volume_id ?? item.source
  const target = item.mount_path ?? item.target
  if (typeof source !== 'string' || typeof target !== 'string' || source === '' || !target.startsWith('/')) return null
  if (!isOpen(item.csi_driver)) {
    warn(place.report, `${field}.csi_driver`, 'has no effect: the volume is kept on the device that runs the instance')
  }
  return `${source}:${target}${item.read_only === true ? ':ro' : ''}`
}

const DEVICE = '^/[^\\0]{0,511}$'
const IS_DEVICE = new RegExp(DEVICE)
const isDevice = (text: string): boolean => IS_DEVICE.test(text) && deviceProblem(text) === null

/** Device files in a list. */
export const devices = (about: string): Field<readonly string[]> =>
  honoured(
    about,
    orOpen({ type: 'array', maxItems: DEVICES_MAX, items: { type: 'string', pattern: DEVICE } }),
    (place, key) => {
      const raw = place.raw[key]
      if (isOpen(raw)) return []
      const expected = 'a list like ["/dev/ttyUSB0", "/dev/video0:/dev/video1:rw"]'
      if (Array.isArray(raw) && raw.length <= DEVICES_MAX && raw.every((item) => isDevice(textOf(item))))
        return raw.map(String)
      refuse(place.report, fieldOf(place, key), `${show(raw)} is no list of device files`, expected)
      return []
    },
  )

type AddedFile = ServiceSpec['addedFiles'][number]
const URL_PATTERN = '^https?://[^\\s/?#]+[^\\s]*$'
const IS_URL = new RegExp(URL_PATTERN)

/** Addresses of files, or `{url, path}`; without a path the file has its own name. */
export const addedFiles = (about: string): Field<readonly AddedFile[]> => {
  const url = { type: 'string', pattern: URL_PATTERN, maxLength: 2_048 }
  const path = { type: ['string', 'null'], maxLength: 1_024 }
  const file = { type: 'object', properties: { url, path }, required: ['url'] }
  return honoured(about, orOpen({ type: 'array', maxItems: FILES_MAX, items: { anyOf: [url, file] } }), readAddedFiles)
}

function readAddedFiles(place: Place, key: string): readonly AddedFile[] {
  const raw = place.raw[key]
  if (isOpen(raw)) return []
  const field = fieldOf(place, key)
  const expected = 'an http or https address, or {"url": "https://…", "path": "/etc/app.conf"}'
  if (!Array.isArray(raw) || raw.length > FILES_MAX) {
    refuse(place.report, field, `${show(raw)} is no list of files`, `at most ${FILES_MAX} of ${expected}`)
    return []
  }
  return raw.flatMap((item, index) => {
    const at = `${field}[${index}]`
    const { url, path: named } = isObject(item) ? item : { url: item, path: undefined }
    if (typeof url !== 'string' || !IS_URL.test(url) || url.length > 2_048) {
      refuse(place.report, at, `${show(item)} is no address of a file`, expected)
      return []
    }
    const path = isOpen(named) ? decodedName(url) : named
    if (typeof path !== 'string' || path === '' || path.length > 1_024) {
      const problem = isOpen(named) ? 'the address ends with no file name' : `${show(named)} is no path for a file`
      refuse(place.report, at, problem, 'a "path" with a file name')
      return []
    }
    const source = readAddedFile({ url, path })
    if (source.ok) return [{ url, path }]
    refuse(place.report, at, source.error, expected)
    return []
  })
}

/** The last part of the path of an address. */
function decodedName(url: string): string {
  const path = url.replace(/^https?:\/\/[^/?#]*/, '').replace(/[?#].*$/, '')
  return path.slice(path.lastIndexOf('/') + 1)
}
