import { errorText } from '../../common/errors.js';
import type { SimulatedCloud } from '../cloud.js';
import { textsOf, type Ec2Answer, type Ec2Client } from '../ec2Client.js';
import { users, type Step, type Theme } from '../plan.js';
import { SeededRandom } from '../seededRandom.js';
import { instanceWishes } from './instances.js';
import { knownOf, type Known } from './known.js';
import { addressWishes, groupWishes, otherWishes } from './network.js';
import { volumeWishes } from './volumes.js';
import { emptyBelongings, type Belongings, type Chooser, type Parameters, type Wish } from './wish.js';

/** So much more often than usual something is asked for which is the theme of a run. */
const themeWeight = 4;

/** Each wish as often as it weighs. */
function wishesOf(theme: Theme): readonly Wish[] {
  const byTheme = { instances: instanceWishes, volumes: volumeWishes, addresses: addressWishes, groups: groupWishes };
  const often = Object.entries(byTheme).flatMap(([name, wishes]) =>
    wishes.map((wish) => [wish, name === theme ? themeWeight : 1] as const),
  );
  return [...often, ...otherWishes.map((wish) => [wish, 1] as const)].flatMap(([wish, factor]) =>
    Array.from({ length: (wish.weight ?? 1) * factor }, () => wish),
  );
}

/** What no other project's users may touch. An address belongs to one project after the other. */
const privateThings: readonly (keyof Belongings)[] = ['instances', 'volumes', 'snapshots', 'images'];

/** A request which was sent, and what came of it. */
export interface Sent {
  readonly what: string;
  readonly at: number;
  /** Undefined as long as there is none; null when the connection failed. */
  answer?: Ec2Answer | null;
}

/** Several users of several projects, who ask for one thing after another, sensible or not. */
export class SimulatedUsers {
  /** By project. */
  readonly belongings = new Map<string, Belongings>(users.map(({ project }) => [project, emptyBelongings()]));
  /** Requests without an answer so far. */
  readonly open = new Set<Sent>();
  /** Answers which say that a program has a defect. */
  readonly broken: string[] = [];
  /** Number of answers by what they said: `ok`, an error's code, or `no answer`. */
  readonly outcomes = new Map<string, number>();
  readonly #clients: readonly Ec2Client[];
  readonly #wishes: readonly Wish[];
  /** The reservation which each request with a client token made. */
  readonly #reservations = new Map<string, string>();

  constructor(
    private readonly cloud: SimulatedCloud,
    theme: Theme = 'everything',
  ) {
    this.#wishes = wishesOf(theme);
    this.#clients = users.map((_, index) => cloud.client(index));
  }

  /** Sends what a step stands for, unless there is nothing to send it for. */
  async take(step: Step): Promise<void> {
    const { project } = users[step.user]!;
    const chosen = this.#choose(step, await knownOf(this.cloud.db, project));
    if (chosen === undefined) return;
    const { wish, parameters, foreign } = chosen;
    const answer = await this.call(step.user, wish.action, parameters);
    if (answer?.status !== 200) return;
    const what = `${project} ${wish.action} ${JSON.stringify(parameters)}`;
    if (foreign) this.broken.push(`${what}: was done to another project's`);
    if (parameters['ClientToken'] !== undefined) this.#checkToken(what, answer);
    wish.learn?.(this.belongings.get(project)!, answer, parameters);
  }

  /** The same request with the same token makes nothing new. */
  #checkToken(what: string, answer: Ec2Answer): void {
    const [made] = textsOf(answer.xml, 'reservationId');
    const earlier = this.#reservations.get(what) ?? made!;
    if (earlier !== made) this.broken.push(`${what}: made ${earlier} and ${made}`);
    this.#reservations.set(what, earlier);
  }

  /** Calls the API and notes the outcome; null when there was no answer. */
  async call(user: number, action: string, parameters: Parameters): Promise<Ec2Answer | null> {
    const { log, world } = this.cloud;
    const query = new URLSearchParams(
      Object.entries(parameters).map(([name, value]): [string, string] => [name, String(value)]),
    );
    const what = `${users[user]!.id} ${action} ${query.toString()}`;
    const sent: Sent = { what, at: world.age };
    this.open.add(sent);
    log.note(`USER ${what}`);
    try {
      sent.answer = await this.#clients[user]!.call(action, parameters);
    } catch (error) {
      sent.answer = null;
      log.note(`USER ${what}: ${errorText(error)}`);
    }
    this.open.delete(sent);
    const outcome = sent.answer === null ? 'no answer' : (sent.answer.code ?? 'ok');
    this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1);
    if (sent.answer !== null) {
      log.note(`USER ${what}: ${sent.answer.status} ${outcome}`);
      const { status } = sent.answer;
      if (status >= 500 && status !== 503) this.broken.push(`${what}: ${status} ${outcome}`);
    }
    return sent.answer;
  }

  #choose(step: Step, known: Known): { wish: Wish; parameters: Parameters; foreign: boolean } | undefined {
    let touchesForeign: boolean;
    const random = new SeededRandom(step.seed);
    const { project } = users[step.user]!;
    const chooser: Chooser = {
      random,
      has: this.belongings.get(project)!,
      known,
      one: (kind, parameter, likely) => {
        const foreign = random.below(25) === 0;
        const others = [...this.belongings].filter(([name]) => name !== project).flatMap(([, has]) => has[kind]);
        const own = likely === undefined || random.below(5) === 0 ? this.belongings.get(project)![kind] : likely;
        const list = foreign && others.length > 0 ? others : own;
        if (list.length === 0) return undefined;
        if (list === others && privateThings.includes(kind)) touchesForeign = true;
        // what came last is asked for more often, perhaps while others are at it
        return { [parameter]: random.below(3) === 0 ? list.at(-1)! : random.pick(list) };
      },
    };
    for (let attempt = 0; attempt < 20; attempt++) {
      touchesForeign = false;
      const wish = random.pick(this.#wishes);
      const parameters = wish.parameters(chooser);
      if (parameters !== undefined) return { wish, parameters, foreign: touchesForeign };
    }
    return undefined;
  }
}
