/**
 * Takes secrets out of a text which goes to a log: values of keys that name one (in JSON, Python, `key=value` and query
 * form), private keys, credentials in URLs, signatures. The last line of defence: code does not log secrets to begin
 * with.
 */
export function redact(text: string): string {
  if (!suspicious.test(text)) return text;
  return rules.reduce((masked, [pattern, replacement]) => masked.replace(pattern, replacement), text);
}

/** Names whose values are secret. `_key` alone is not one: key_name, kernel keys and the like are public. */
const secretName =
  '(?:admin_pass(?:word)?|adminPass|new_pass(?:word)?|\\w*password|\\w*passwd|\\w*secret\\w*|aws_?secret\\w*|private_?key|keyMaterial|' +
  '\\w*auth_?token|x-auth-(?:token|key)|x-storage-token|api_?key|signature|authorization)';

const quoted = (quote: string): string => `${quote}(?:[^${quote}\\\\]|\\\\.)*${quote}`;
const quotedSecret = `(?:u?${quoted('"')}|u?${quoted("'")})`;

/** What stands in a list: a quoted text, or a character which is neither quote nor bracket. */
const item = `${quotedSecret}|[^[\\]"']`;

/** One cheap look which most lines don't pass. */
const suspicious = /pass|secret|key|token|signature|authorization|injected_files|personality|user_data|:\/\/|PRIVATE/i;

const rules: readonly (readonly [RegExp, string])[] = [
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g, '***'],
  [/\b([\w+.-]+:\/\/)[^\s/@:'"]*:[^\s/'"]*@/g, '$1***@'],
  // "injected_files": [["/path", "content"], …], in JSON or as Python shows it: up to the end of the outer list.
  [new RegExp(`(["'](?:injected_files|personality)["']\\s*:\\s*)\\[(?:${item}|\\[(?:${item})*\\])*\\]`, 'gi'), '$1***'],
  // The same inside a text which was quoted once more: up to its end.
  [/(\\"(?:injected_files|personality)\\"\s*:)[\s\S]*/gi, '$1 ***'],
  [
    new RegExp(
      `((?:\\\\?["'])${secretName}\\\\?["']\\s*[:=]\\s*)(?:${quotedSecret}|\\\\"(?:[^"\\\\]|\\\\\\\\.)*\\\\"|[^\\s,}\\]]+)`,
      'gi',
    ),
    '$1***',
  ],
  [new RegExp(`\\b(${secretName}\\s*=\\s*)(?:${quotedSecret}|[^\\s&,;'"]+)`, 'gi'), '$1***'],
  [new RegExp(`\\b(${secretName}\\s*:\\s+)(?:${quotedSecret}|[^\\s&,;'"]+)`, 'gi'), '$1***'],
  [/(<(adminPass|keyMaterial|secretkey|password)>)[^<]*/gi, '$1***'],
];
