// Bytes on the wire: what a message looks like, who signed it, and what is refused.

export * from './codec.ts'
export * from './envelope.ts'
export * as schema from './schema.ts'
