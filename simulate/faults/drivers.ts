import { NovaError } from '../../common/errors.js';
import type { DriverTrouble } from '../plan.js';
import type { SimulatedRuntime } from '../simulatedRuntime.js';

/** What goes wrong in the drivers of one daemon. */
export class DriverTroubles {
  #armed: { how: DriverTrouble; times: number; ms: number } | undefined;

  arm(how: DriverTrouble, times: number, ms: number): void {
    this.#armed = { how, times, ms };
  }

  calm(): void {
    this.#armed = undefined;
  }

  /** The trouble of this very call. */
  take(): { how: DriverTrouble; ms: number } | undefined {
    const armed = this.#armed;
    if (armed !== undefined && --armed.times <= 0) this.#armed = undefined;
    return armed;
  }
}

/** A driver whose methods with these names fail, hang or take long, as the troubles say; all others are as they are. */
export function troubled<D extends object>(
  driver: D,
  names: readonly (keyof D & string)[],
  runtime: SimulatedRuntime,
  troubles: DriverTroubles,
): D {
  const affected: ReadonlySet<string> = new Set(names);
  const log = runtime.log.logger('simulate.driver');
  return new Proxy(driver, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name);
      if (typeof member !== 'function') return member;
      const method = (...args: unknown[]): unknown => Reflect.apply(member, target, args);
      if (typeof name !== 'string' || !affected.has(name)) return method;
      return async (...args: unknown[]): Promise<unknown> => {
        const trouble = troubles.take();
        if (trouble === undefined) return method(...args);
        log.debug(`${name}: ${trouble.how}`);
        const failure = new NovaError(`The back end could not ${name} (simulated: ${trouble.how})`);
        if (trouble.how === 'fail before') throw failure;
        if (trouble.how === 'hang' || trouble.how === 'slow') await runtime.sleep(trouble.ms);
        if (trouble.how === 'hang') throw failure;
        const result = await method(...args);
        if (trouble.how === 'fail after') throw failure;
        return result;
      };
    },
  });
}
