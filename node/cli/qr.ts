// A line of text as a picture that another device can scan, for those who stand beside each other without a network.

import type { CliContext } from './context.ts'

/**
 * Draws a line as a QR code (ISO/IEC 18004) on stderr, so that stdout holds the line and nothing else. What is too long
 * for one, about 2,900 characters, is told.
 */
export async function drawQr(context: CliContext, line: string): Promise<void> {
  const { renderUnicodeCompact } = await import('uqr')
  try {
    context.say(renderUnicodeCompact(line, { ecc: 'L', border: 2 }))
  } catch {
    context.say('This is too long for a QR code: carry it as a file.')
  }
}
