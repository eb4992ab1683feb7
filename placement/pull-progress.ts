// The progress of an image pull as one line: Docker tells it layer by layer, many times a second.

/** One line of Docker's pull stream, as far as we read it. */
export interface PullLine {
  readonly id?: string
  readonly status?: string
  readonly error?: string
  readonly progressDetail?: { readonly current?: number; readonly total?: number }
}

interface Layer {
  readonly current: number
  readonly total: number
  readonly done: boolean
}

/** Layers of the image by their id. Its owner updates it in place. */
export type PullTable = Map<string, Layer>

/** More layers than any image has (Docker's own limit is 127); further ones are not counted. */
const LAYERS_MAX = 256
const BYTES_PER_MB = 1_000_000

/** Takes one line in. */
export function onPullLine(table: PullTable, line: PullLine): void {
  if (line.id === undefined || line.status === undefined || !isLayer(line.status)) return
  if (!table.has(line.id) && table.size >= LAYERS_MAX) return
  const before = table.get(line.id) ?? { current: 0, total: 0, done: false }
  const downloading = line.status === 'Downloading'
  const current = downloading ? (line.progressDetail?.current ?? before.current) : before.current
  const total = downloading ? (line.progressDetail?.total ?? before.total) : before.total
  table.set(line.id, { current, total, done: line.status === 'Pull complete' || line.status === 'Already exists' })
}

const LAYER_STATUS = ['Pulling fs layer', 'Waiting', 'Downloading', 'Verifying Checksum', 'Download complete'] as const
const LATE_STATUS = ['Extracting', 'Pull complete', 'Already exists'] as const
const isLayer = (status: string): boolean => [...LAYER_STATUS, ...LATE_STATUS].some((known) => known === status)

/** What there is to say now. */
export function pullSentence(image: string, table: PullTable): string {
  const layers = [...table.values()]
  if (layers.length === 0) return `pulling ${image}`
  const done = layers.filter((layer) => layer.done).length
  const current = layers.reduce((sum, layer) => sum + layer.current, 0)
  const total = layers.reduce((sum, layer) => sum + layer.total, 0)
  const bytes = total === 0 ? '' : `, ${megabytes(current)} of ${megabytes(total)} MB`
  return `pulling ${image}: ${done} of ${layers.length} layers${bytes}`
}

const megabytes = (bytes: number): string => (bytes / BYTES_PER_MB).toFixed(1)
