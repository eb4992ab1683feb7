// A source file as the tidy test reads it. One pass tells code from comments, strings and regular expressions, which is
// all that is needed to look for words that must not be there.

/** The text with every character that is not code replaced by a blank, and, where asked for, with its strings kept. */
export interface SourceText {
  /** No comments, no insides of strings, templates and regular expressions. */
  readonly code: string
  /** No comments. */
  readonly uncommented: string
  /** What the imports and re-exports name, of whatever form. */
  readonly imports: readonly string[]
  /** Those that are loaded with the file itself: neither types nor imported later. */
  readonly loads: readonly string[]
}

const staticImport = /\b(?:import|export)\b([^'"`;()=]*?)\bfrom\s*['"]([^'"]+)['"]/g
const bareImport = /^import\s+['"]([^'"]+)['"]/gm
const laterImport = /\bimport\s*\(\s*['"]([^'"]+)['"]/g

export function readSource(text: string): SourceText {
  const parts = split(text)
  const keep = (kinds: readonly Part['kind'][]): string =>
    parts.map((part) => (kinds.includes(part.kind) ? part.text : part.text.replace(/[^\n]/g, ' '))).join('')
  const uncommented = keep(['code', 'string'])
  const statics = [...uncommented.matchAll(staticImport)]
  const bare = [...uncommented.matchAll(bareImport)].map((found) => found[1] ?? '')
  const later = [...uncommented.matchAll(laterImport)].map((found) => found[1] ?? '')
  const named = statics.map((found) => found[2] ?? '')
  const loads = statics.filter((found) => !found[1]?.startsWith(' type ')).map((found) => found[2] ?? '')
  return { code: keep(['code']), uncommented, imports: [...named, ...bare, ...later], loads: [...loads, ...bare] }
}

interface Part {
  readonly kind: 'code' | 'comment' | 'string'
  readonly text: string
}

const comment = /\/\/[^\n]*|\/\*[\s\S]*?\*\//y
const quoted = /'(?:\\[\s\S]|[^'\\\n])*'|"(?:\\[\s\S]|[^"\\\n])*"/y
/** From a backtick, or from the brace that ends a substitution, to the next substitution or the end. */
const templatePiece = /(?:\\[\s\S]|\$(?!\{)|[^`\\$])*(?:`|\$\{)/y
const regularExpression = /\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\[\n])+\/[a-z]*/y
const word = /[\w$]+|\s+/y
/** After these a slash divides; after anything else it opens a regular expression. */
const endsValue = /(?:[\w$)\]}`'"])$/
const keywordBeforeValue = /\b(?:return|case|typeof|in|of|do|else|void|delete|throw|new|yield|await)$/

/** Cuts a source into its parts; together they are the source. */
function split(text: string): readonly Part[] {
  const parts: Part[] = []
  /** For each open template substitution, how many braces are open inside it. */
  const braces: number[] = []
  let at = 0
  let before = ''
  const take = (kind: Part['kind'], pattern: RegExp): boolean => {
    pattern.lastIndex = at
    const found = pattern.exec(text)?.[0]
    if (found === undefined || found === '') return false
    parts.push({ kind, text: found })
    at += found.length
    if (kind !== 'comment' && found.trim() !== '') before = kind === 'string' ? "'" : before.slice(-16) + found
    return true
  }
  const takeTemplate = (): void => {
    if (take('string', templatePiece) && text.endsWith('${', at) && text[at - 1] === '{') braces.push(0)
  }
  while (at < text.length) {
    const character = text[at]
    if (take('comment', comment) || take('string', quoted)) continue
    if (character === '/' && (!endsValue.test(before) || keywordBeforeValue.test(before))) {
      if (take('string', regularExpression)) continue
    }
    if (take('code', word)) continue
    take('code', /[\s\S]/y)
    if (character === '`') takeTemplate()
    if (character === '{' && braces.length > 0) braces.push((braces.pop() ?? 0) + 1)
    if (character === '}' && braces.length > 0) {
      const open = braces.pop() ?? 0
      if (open > 0) braces.push(open - 1)
      else takeTemplate()
    }
  }
  return parts
}
