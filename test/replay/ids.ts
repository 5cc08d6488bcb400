const idPattern = /\b(i|vol|snap|ami|aki|ari)-([0-9a-f]{8})\b/gi;
const floatingPattern = /\b1\.2\.3\.\d+\b/g;

/** The elements of an answer which name what was made, by action. */
const made: Readonly<Record<string, string>> = {
  RunInstances: 'instanceId',
  CreateVolume: 'volumeId',
  CreateSnapshot: 'snapshotId',
  AllocateAddress: 'publicIp',
  RegisterImage: 'imageId',
};

/** Ids which an answer made, in the order of their launch. */
export function idsMade(action: string, xml: string): string[] {
  const element = made[action];
  if (element === undefined) return [];
  const ids = [...xml.matchAll(new RegExp(`<${element}>([^<]*)</${element}>`, 'g'))].map((match) => match[1]!);
  const order = [...xml.matchAll(/<amiLaunchIndex>(\d+)</g)].map((match) => Number(match[1]));
  if (order.length !== ids.length) return ids;
  return ids
    .map((id, index) => ({ id, at: order[index]! }))
    .sort((a, b) => a.at - b.at)
    .map(({ id }) => id);
}

/** Which of our ids stands for which recorded one. */
export class Ids {
  readonly #own: Map<string, string>;
  readonly #counts = new Map<string, number>();

  /** `images`: our id by the number of the recorded image. */
  constructor(images: readonly string[]) {
    // An image asked for with the prefix of another kind is still that image.
    const prefixes = ['aki', 'ari', 'ami'];
    this.#own = new Map(
      images.flatMap((id, index) => prefixes.map((kind) => [`${kind}-${hex(index + 1)}`, `${kind}${id.slice(3)}`])),
    );
  }

  /**
   * Notes what an action made, and which recorded ids that has. Where the recorded server made nothing (it refused the
   * signature; null), the client counts from one.
   */
  note(action: string, recorded: readonly string[] | null, ours: string): void {
    const own = idsMade(action, ours);
    const names = recorded ?? own.map((id) => this.#next(action, id));
    names.forEach((name, index) => {
      const [kind = '', digits = ''] = name.split('-');
      if (digits !== '') this.#counts.set(kind, Math.max(this.#counts.get(kind) ?? 0, Number.parseInt(digits, 16)));
      if (own[index] !== undefined) this.#own.set(name, own[index]);
    });
  }

  /** The recorded ids which one of ours stands for. */
  get known(): ReadonlySet<string> {
    return new Set(this.#own.keys());
  }

  /** A text of an answer of ours with the recorded ids; one which stands for none gets a number of its own. */
  recorded(text: string): string {
    const names = new Map([...this.#own].map(([name, own]) => [own, name]));
    return text.replace(idPattern, (id, kind: string) => names.get(id) ?? `${kind}-ffffffff`);
  }

  /** A text of a request with our ids. What was not made is an id which there isn't. */
  own(text: string): string {
    return text
      .replace(idPattern, (id, kind: string, digits: string) => {
        return (
          this.#own.get(id.toLowerCase()) ??
          (Number.parseInt(digits, 16) > 0xffff ? id : `${kind}-00fe${digits.slice(4)}`)
        );
      })
      .replace(floatingPattern, (address) => this.#own.get(address) ?? address);
  }

  #next(action: string, id: string): string {
    const kind = action === 'AllocateAddress' ? 'address' : id.split('-')[0]!;
    const count = (this.#counts.get(kind) ?? 0) + 1;
    this.#counts.set(kind, count);
    if (kind === 'address') return `1.2.3.${count}`;
    return `${kind}-${hex(count)}`;
  }
}

const hex = (number: number): string => number.toString(16).padStart(8, '0');
