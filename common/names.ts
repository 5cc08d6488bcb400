/**
 * Names which flags make out of ids: `instance-%08x`, `volume-%08x` (nova 2011.3, flags `*_name_template`). Of Python's
 * `%` formatting the integer conversions d, i, x, X and o are known, with a zero flag and a width.
 */
const conversion = /%(0?)(\d*)([dixXo])/;

/** The name of the resource with this id. A template without a conversion is answered as it is. */
export function nameFromTemplate(template: string, id: number): string {
  return template
    .replace(conversion, (_, zero: string, width: string, kind: string) => {
      const digits = id.toString(radix(kind));
      const text = kind === 'X' ? digits.toUpperCase() : digits;
      return text.padStart(Number(width || 0), zero === '0' ? '0' : ' ');
    })
    .replaceAll('%%', '%');
}

/** The id which {@link nameFromTemplate} made the name of; undefined for any other name. */
export function idFromName(template: string, name: string): number | undefined {
  const found = conversion.exec(template);
  if (found === null) return undefined;
  const head = template.slice(0, found.index).replaceAll('%%', '%');
  const tail = template.slice(found.index + found[0].length).replaceAll('%%', '%');
  if (name.length <= head.length + tail.length || !name.startsWith(head) || !name.endsWith(tail)) return undefined;
  const id = parseInt(name.slice(head.length, name.length - tail.length), radix(found[3]!));
  return Number.isSafeInteger(id) && nameFromTemplate(template, id) === name ? id : undefined;
}

function radix(kind: string): number {
  return kind === 'o' ? 8 : kind === 'x' || kind === 'X' ? 16 : 10;
}
