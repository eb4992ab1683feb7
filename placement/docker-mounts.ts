// What a container is given of its device, by name: folders, volumes and device files. Such a name decides what of the
// device is open, and an owner's policy goes by it, so it leads where it seems to and nowhere else.

/** What Docker calls a volume (moby, `volume/local`, its restricted name pattern). */
const VOLUME_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/
/** Options of a bind or of a volume (`ro`, `rw`, `z`, `rshared`, …), which the engine knows. */
const OPTIONS = /^[a-zA-Z]+(?:,[a-zA-Z]+)*$/

const climbs = (path: string): boolean => path.split('/').includes('..')
const isPlainPath = (path: string): boolean => path.startsWith('/') && !climbs(path) && !path.includes('\0')

/** What is wrong with `source:target[:options]`; null where nothing is. */
export function volumeProblem(volume: string): string | null {
  const [source = '', target = '', options, more] = volume.split(':')
  if (more !== undefined) return `"${volume}" has more than three parts`
  if (!isPlainPath(source) && !VOLUME_NAME.test(source))
    return `"${source}" is neither the name of a volume nor a folder by its full path, without ".."`
  if (!isPlainPath(target)) return `"${target}" is no full path in a container, without ".."`
  return options === undefined || OPTIONS.test(options) ? null : `"${options}" are no options of a volume`
}

/** What is wrong with `host[:container[:permissions]]`; null where nothing is. */
export function deviceProblem(device: string): string | null {
  const paths = device.split(':').filter((part) => part.includes('/'))
  const isGood = device.startsWith('/') && paths.every(isPlainPath)
  return isGood ? null : `"${device}" is no device file by its full path, without ".."`
}
