import { NovaError } from '../../common/errors.js';
import type { SimulatedRuntime } from '../simulatedRuntime.js';

/**
 * How a driver's call goes wrong; `hang` ends with a failure, `slow` well; `stuck` fails when faults end, and the daemon
 * never hears of it when it ends before.
 */
export type DriverTrouble = 'fail before' | 'fail after' | 'hang' | 'slow' | 'stuck';

/** The methods of each daemon's driver which can go wrong. */
export const troubledMethods: Readonly<Record<string, readonly string[]>> = {
  'nova-compute': ['spawn', 'destroy', 'reboot', 'rescue', 'unrescue', 'snapshot', 'attachVolume', 'detachVolume'],
  'nova-network': [
    'setUpNetwork',
    'updateDhcp',
    'bindFloatingIp',
    'unbindFloatingIp',
    'ensureFloatingForward',
    'removeFloatingForward',
  ],
  'nova-volume': [
    'createVolume',
    'createVolumeFromSnapshot',
    'deleteVolume',
    'createSnapshot',
    'deleteSnapshot',
    'createExport',
    'removeExport',
  ],
};

/** What goes wrong in the drivers of one daemon. */
export class DriverTroubles {
  #armed: { readonly method: string | null; readonly how: DriverTrouble; times: number; readonly ms: number }[] = [];
  readonly #stuck = new Set<() => void>();

  /** The next calls, of one method or of whichever, go wrong. */
  arm(method: string | null, how: DriverTrouble, times: number, ms: number): void {
    this.#armed.push({ method, how, times, ms });
  }

  calm(): void {
    this.#armed = [];
    for (const free of this.#stuck) free();
    this.#stuck.clear();
  }

  /** Resolves when faults end. */
  stuck(runtime: SimulatedRuntime): Promise<void> {
    return new Promise((resolve) => void this.#stuck.add(() => runtime.whenAwake(resolve)));
  }

  /** The trouble of this very call. */
  take(method: string): { how: DriverTrouble; ms: number } | undefined {
    const trouble = this.#armed.find((one) => one.method === null || one.method === method);
    if (trouble !== undefined && --trouble.times <= 0) this.#armed = this.#armed.filter((one) => one !== trouble);
    return trouble;
  }
}

/** A daemon's driver, whose troubled methods fail, hang or take long, as the troubles say; all others are as they are. */
export function troubled<D extends object>(driver: D, runtime: SimulatedRuntime, troubles: DriverTroubles): D {
  const affected: ReadonlySet<string> = new Set(troubledMethods[runtime.binary]);
  const log = runtime.log.logger('simulate.driver');
  return new Proxy(driver, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name);
      if (typeof member !== 'function') return member;
      const method = (...args: unknown[]): unknown => Reflect.apply(member, target, args);
      if (typeof name !== 'string' || !affected.has(name)) return method;
      return async (...args: unknown[]): Promise<unknown> => {
        const trouble = troubles.take(name);
        if (trouble === undefined) return method(...args);
        log.debug(`${name}: ${trouble.how}`);
        const failure = new NovaError(`The back end could not ${name} (simulated: ${trouble.how})`);
        if (trouble.how === 'fail before') throw failure;
        if (trouble.how === 'hang' || trouble.how === 'slow') await runtime.sleep(trouble.ms);
        if (trouble.how === 'stuck') await troubles.stuck(runtime);
        if (trouble.how === 'hang' || trouble.how === 'stuck') throw failure;
        const result = await method(...args);
        if (trouble.how === 'fail after') throw failure;
        return result;
      };
    },
  });
}
