// Tells code from comments and strings in TypeScript source, so that a rule about code is not tripped by prose.
// What is taken out becomes spaces: every offset and line number of the result is that of the source.

export interface SplitSource {
  /** Comments, and the insides of strings, templates and regular expressions, are blank. */
  readonly code: string;
  /** Only comments are blank. */
  readonly codeAndStrings: string;
}

const REGEX_MAY_FOLLOW =
  /(?:^|[(,=:[!&|?{};+\-*%<>~^]|\b(?:return|typeof|case|in|of|do|else|void|delete|throw|await|yield))\s*$/;
const REGEX = /\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\[\n])+\//y;
const LINE_COMMENT = /\/\/[^\n]*/y;
const BLOCK_COMMENT = /\/\*[\s\S]*?(?:\*\/|$)/y;
const QUOTED = /(['"])(?:\\[\s\S]|(?!\1)[^\\\n])*\1?/y;
const TEMPLATE_PART = /(?:\\[\s\S]|\$(?!\{)|[^\\`$])*(?:`|\$\{|$)/y;

export function splitSource(text: string): SplitSource {
  let code = '';
  let codeAndStrings = '';
  let at = 0;
  const take = (length: number, kind: 'code' | 'string' | 'comment'): void => {
    const piece = text.slice(at, at + length);
    const blank = piece.replace(/[^\n]/g, ' ');
    code += kind === 'code' ? piece : blank;
    codeAndStrings += kind === 'comment' ? blank : piece;
    at += length;
  };
  /** Takes a literal: its first and last `edge` characters count as code, what is between them as string. */
  const takeLiteral = (length: number): void => {
    take(1, 'code');
    take(Math.max(0, length - 2), 'string');
    if (length > 1) take(1, 'code');
  };
  /** For each open `${`, how many braces are open inside it. */
  const holes: number[] = [];
  const takeTemplate = (): void => {
    const part = lengthAt(TEMPLATE_PART, text, at);
    const opensHole = text.slice(at, at + part).endsWith('${');
    take(part, 'string');
    if (opensHole) holes.push(0);
  };

  while (at < text.length) {
    const next = text[at];
    const comment = lengthAt(LINE_COMMENT, text, at) || lengthAt(BLOCK_COMMENT, text, at);
    if (comment > 0) {
      take(comment, 'comment');
    } else if (next === "'" || next === '"') {
      takeLiteral(lengthAt(QUOTED, text, at));
    } else if (next === '`') {
      take(1, 'code');
      takeTemplate();
    } else if (next === '/' && REGEX_MAY_FOLLOW.test(code.slice(-80))) {
      takeLiteral(lengthAt(REGEX, text, at) || 1);
    } else if (next === '}' && holes.at(-1) === 0) {
      holes.pop();
      take(1, 'code');
      takeTemplate();
    } else {
      const depth = holes.at(-1);
      if (depth !== undefined && next === '{') holes[holes.length - 1] = depth + 1;
      if (depth !== undefined && next === '}') holes[holes.length - 1] = depth - 1;
      take(1, 'code');
    }
  }
  return { code, codeAndStrings };
}

function lengthAt(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0].length ?? 0;
}
