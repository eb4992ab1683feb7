// What an operator hands to those who shall admit it: its key and name as one line, signed by that key, so that nobody
// is admitted who cannot sign.

import { ok, type Result } from '../overlay/kernel/result.ts'
import { type Consent, type Crypto, decodeConsent, encodeConsent, isConsent } from './charter-entry.ts'
import { decodeLine, encodeLine, type LineKind, type LineProblem } from './line.ts'

const REQUEST_LINE: LineKind = { prefix: 'coppice-operator1:', noun: 'operator’s request', bodyBytesMax: 1_024 }

export const encodeRequest = (consent: Consent): string => encodeLine(REQUEST_LINE, encodeConsent(consent))

/** Reads a request and checks that whoever made it holds its key. */
export function decodeRequest(line: string, crypto: Crypto): Result<Consent, LineProblem> {
  const body = decodeLine(REQUEST_LINE, line)
  if (!body.ok) return body
  const consent = decodeConsent(body.value)
  if (!consent.ok) return malformed(consent.error)
  return isConsent(consent.value, crypto) ? ok(consent.value) : malformed('its key did not sign it')
}

const malformed = (why: string): Result<never, LineProblem> => ({
  ok: false,
  error: { code: 'malformed', detail: `the request cannot be read: ${why}` },
})
