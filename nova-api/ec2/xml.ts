import { InNamespace, type Ec2Result, type Ec2Value } from './action.js';

/** What XML 1.0 can't hold, and what must be written as an entity. */
// eslint-disable-next-line no-control-regex -- control characters are the point
const special = /[&<>"\u0000-\u0008\u000b-\u001f\ufffe\uffff\ud800-\udfff]/;
// eslint-disable-next-line no-control-regex -- as above; a pair of surrogates is a character, one alone is none
const replaced = /[\ud800-\udbff][\udc00-\udfff]|[&<>"\u0000-\u0008\u000b-\u001f\ufffe\uffff\ud800-\udfff]/g;
const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  '\r': '&#13;',
};

/** Text as it stands in an element or an attribute. Characters which XML 1.0 forbids become U+FFFD. */
export function escapeXml(text: string): string {
  if (!special.test(text)) return text;
  return text.replace(replaced, (found) => entities[found] ?? (found.length === 2 ? found : '\ufffd'));
}

function element(name: string, value: Ec2Value): string {
  if (value === undefined) return '';
  if (value === null) return `<${name}/>`;
  if (value instanceof InNamespace) return `<${name} xmlns="${value.uri}">${items(value.value)}</${name}>`;
  switch (typeof value) {
    case 'string':
      return `<${name}>${escapeXml(value)}</${name}>`;
    case 'number':
    case 'boolean':
      return `<${name}>${value}</${name}>`;
    default: {
      const inner = isList(value) ? items(value) : children(value);
      return inner === '' ? `<${name}/>` : `<${name}>${inner}</${name}>`;
    }
  }
}

function isList(value: object): value is readonly Ec2Value[] {
  return Array.isArray(value);
}

function items(list: readonly Ec2Value[]): string {
  let xml = '';
  for (const item of list) xml += element('item', item);
  return xml;
}

function children(map: { readonly [name: string]: Ec2Value }): string {
  let xml = '';
  for (const name in map) xml += element(name, map[name]);
  return xml;
}

/**
 * The document of a successful request, on one line (nova 2011.3, nova/api/ec2/apirequest.py). `action` is the name as
 * the client sent it and must be an XML name; `version` is the request's, echoed.
 */
export function successDocument(action: string, version: string, requestId: string, result: Ec2Result): string {
  return (
    `<?xml version="1.0" ?><${action}Response xmlns="http://ec2.amazonaws.com/doc/${escapeXml(version)}/">` +
    `<requestId>${requestId}</requestId>${children(result)}</${action}Response>`
  );
}

/** The document of a failed request (nova 2011.3, nova/api/ec2/__init__.py). */
export function errorDocument(code: string, message: string, requestId: string): string {
  return (
    '<?xml version="1.0"?>\n' +
    `<Response><Errors><Error><Code>${escapeXml(code)}</Code><Message>${escapeXml(message)}</Message></Error></Errors>` +
    `<RequestID>${requestId}</RequestID></Response>`
  );
}
