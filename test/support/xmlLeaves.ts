/** A leaf of an XML document: the names on the way to it, joined by `/`, and its text. */
export interface XmlLeaf {
  readonly path: string;
  readonly text: string;
}

/** The leaves of a document as nova's doors write them (no comments, no CDATA), in its order; an empty element is one. */
export function xmlLeaves(xml: string): XmlLeaf[] {
  const elements: XmlLeaf[] = [];
  const path: string[] = [];
  for (const [, closing, name, empty, text] of xml.matchAll(/<(\/?)([\w:]+)[^>]*?(\/?)>([^<]*)/g)) {
    if (closing === '') {
      path.push(name!);
      elements.push({ path: path.join('/'), text: empty === '' ? text!.trim() : '' });
    }
    if (closing !== '' || empty !== '') path.pop();
  }
  return elements.filter((element, at) => !elements[at + 1]?.path.startsWith(`${element.path}/`));
}
