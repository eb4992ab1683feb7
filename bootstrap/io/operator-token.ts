// What an operator says in one line of text, as a compact JWS (RFC 7515) of its key: made and checked here (jose on
// OpenSSL). What a token says, and what that is worth, is its own file's affair.

import { CompactSign, compactVerify, decodeProtectedHeader } from 'jose'
import type { OperatorId } from '../../overlay/kernel/ids.ts'
import { err, ok, type Result } from '../../overlay/kernel/result.ts'
import { operatorPublicKey } from '../charter-entry.ts'
import { publicKeyObject } from './crypto.ts'
import type { OperatorKey } from './key-file.ts'

export interface TokenForm {
  /** `typ` of the header, so that no token of one kind passes for another. */
  readonly type: string
  readonly bytesMax: number
  /** As in "not an order of recovery". */
  readonly name: string
}

/** What a payload comes to before its signature is looked at: who has to have signed it, and what it is worth. */
export interface Judged<T> {
  readonly signer: OperatorId
  readonly value: T
}

export const signToken = (
  { type }: TokenForm,
  claims: object,
  { operator, privateKey }: OperatorKey,
): Promise<string> =>
  new CompactSign(new TextEncoder().encode(JSON.stringify(claims)))
    .setProtectedHeader({ alg: 'EdDSA', typ: type, kid: operator })
    .sign(privateKey)

/** What `judge` makes of the payload, where its signer signed it; the error is for people. */
export async function openToken<T>(
  text: string,
  { type, bytesMax, name }: TokenForm,
  judge: (payload: Uint8Array) => Result<Judged<T>, string>,
): Promise<Result<T, string>> {
  if (text.length > bytesMax) return err(`more than ${bytesMax} bytes`)
  try {
    if (decodeProtectedHeader(text).typ !== type) return err('a token for something else')
  } catch {
    return err(`not ${name}`)
  }
  const judged = judge(new Uint8Array(Buffer.from(text.split('.')[1] ?? '', 'base64url')))
  if (!judged.ok) return judged
  const { signer, value } = judged.value
  const raw = operatorPublicKey(signer)
  const key = raw === null ? null : publicKeyObject(raw)
  if (key === null) return err(`${signer} is not a key`)
  try {
    await compactVerify(text, key, { algorithms: ['EdDSA'] })
    return ok(value)
  } catch {
    return err(`it was not signed by ${signer}`)
  }
}
