// Archives that go by in pieces of any size lose the entries that were named, and nothing else.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { TAR_END, tarHeader, tarPadding } from './added-files.ts'
import { createEntryReader, createTarFilter } from './tar-filter.ts'

interface File {
  readonly name: string
  readonly content: Uint8Array
}

function entryOf({ name, content }: File): Buffer {
  const header = tarHeader(name.split('/'), content.length)
  assert.ok(header.ok)
  return Buffer.concat([header.value, content, tarPadding(content.length)])
}
const archiveOf = (files: readonly File[]): Buffer => Buffer.concat([...files.map(entryOf), TAR_END])

/** A further field, as PAX has it: an entry of kind x before the one that it is for. */
function furtherField(text: string): Buffer {
  const entry = entryOf({ name: 'PaxHeaders/one', content: Buffer.from(text) })
  entry.write('x', 156, 'latin1')
  return entry
}

function cut(archive: Uint8Array, sizes: readonly number[]): readonly Uint8Array[] {
  const pieces: Uint8Array[] = []
  for (let at = 0, turn = 0; at < archive.length; turn++) {
    const size = sizes[turn % sizes.length] ?? 1
    pieces.push(archive.subarray(at, at + size))
    at += size
  }
  return pieces
}

const names = fc.constantFrom('a/layer.tar', 'b/layer.tar', 'manifest.json', 'c.json')
const file = fc.record({ name: names, content: fc.uint8Array({ maxLength: 1_500 }) })
const files = fc.array(file, { maxLength: 6 })
const sizes = fc.array(fc.integer({ min: 1, max: 1_300 }), { minLength: 1, maxLength: 5 })

test('an archive loses the named entries and nothing else, in whatever pieces it comes', () => {
  fc.assert(
    fc.property(files, fc.subarray(['a/layer.tar', 'manifest.json']), sizes, (all, leftOut, pieces) => {
      const filter = createTarFilter(new Set(leftOut))
      const passed = Buffer.concat(cut(archiveOf(all), pieces).flatMap(filter))
      assert.ok(passed.equals(archiveOf(all.filter(({ name }) => !leftOut.includes(name)))))
    }),
  )
})

test('further fields go with the entry that they are for', () => {
  const gone = { name: 'gone', content: Buffer.from('gone') }
  const kept = { name: 'kept', content: Buffer.from('kept') }
  const archive = Buffer.concat([furtherField('1'), entryOf(gone), furtherField('2'), entryOf(kept), TAR_END])
  const passed = Buffer.concat(cut(archive, [700]).flatMap(createTarFilter(new Set(['gone']))))
  assert.ok(passed.equals(Buffer.concat([furtherField('2'), entryOf(kept), TAR_END])))
})

test('one entry is read as the archive goes by, if it is there whole and short enough', () => {
  fc.assert(
    fc.property(files, sizes, (all, pieces) => {
      const reader = createEntryReader('c.json', 1_000)
      for (const piece of cut(archiveOf(all), pieces)) reader.take(piece)
      const last = all.findLast(
        ({ name, content }) => name === 'c.json' && content.length > 0 && content.length <= 1_000,
      )
      assert.equal(reader.text(), last === undefined ? null : Buffer.from(last.content).toString('utf8'))
    }),
  )
})
