// The vocabulary that every machine speaks. It imports nothing from the rest of Coppice.

export * from './assert.ts'
export * from './effect.ts'
export * from './ids.ts'
export * from './machine.ts'
export * from './memo.ts'
export * from './random.ts'
export * from './result.ts'
export * from './time.ts'
