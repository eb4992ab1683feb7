// The little that bootstrap needs of the node's store, and where in it each thing stands.

/** A durable map. A `put` with `sync` resolves when the value has reached the disk; a failure rejects. */
export interface Store {
  get(key: string): Promise<Uint8Array | null>
  put(key: string, value: Uint8Array, options: { readonly sync: boolean }): Promise<void>
  del(key: string): Promise<void>
}

export const CHARTER_KEY = 'bootstrap/charter'
export const POLICY_KEY = 'bootstrap/policy'
export const DRAFTS_KEY = 'bootstrap/drafts'
export const OWN_CREDENTIAL_KEY = 'bootstrap/own-credential'
/** What this device needs to go on in another federation, once it has it; and that it shall, from its next start on. */
export const PASSAGE_KEY = 'bootstrap/passage'
export const PASSAGE_BEGUN_KEY = 'bootstrap/passage-begun'
export const inviteKey = (slot: number): string => `bootstrap/invite/${slot}`
export const credentialKey = (slot: number): string => `bootstrap/credential/${slot}`
