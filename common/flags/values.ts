import { hostname, networkInterfaces } from 'node:os';
import { StartupError } from '../errors.js';
import { projectRoot } from '../projectRoot.js';
import { flagDefinitions, type FlagName, type Flags } from './flags.js';

/** Values which are not flags but may be named as `$name` in a default. */
function builtins(): Record<string, string> {
  return { detected_host: hostname(), detected_ip: detectedIp(), project_root: projectRoot() };
}

/** The first IPv4 address of an interface which is up and not loopback, else 127.0.0.1. */
function detectedIp(): string {
  for (const addresses of Object.values(networkInterfaces())) {
    for (const address of addresses ?? []) {
      if (address.family === 'IPv4' && !address.internal) return address.address;
    }
  }
  return '127.0.0.1';
}

/**
 * Replaces `$name` and `${name}` by other flags' values; `$$` is a dollar sign (nova 2011.3, nova/flags.py: Python's
 * string.Template). Throws StartupError which names the flag when a name is unknown or refers to itself.
 */
function interpolate(raw: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const known = { ...builtins(), ...raw };
  const resolve = (name: string, value: string, path: readonly string[]): string =>
    value.replace(/\$(?:\$|(\w+)|\{(\w+)\})/g, (whole, plain?: string, braced?: string) => {
      const other = plain ?? braced;
      if (other === undefined) return '$';
      const target = known[other];
      if (target === undefined || target === null || path.includes(other)) {
        const part = flagDefinitions[name]?.secret ? 'a $name' : whole;
        throw new StartupError(
          `--${name}: ${part} in its value ${path.includes(other) ? 'refers to itself' : 'names no flag with a value'}`,
        );
      }
      return typeof target === 'string' ? resolve(name, target, [...path, other]) : String(target);
    });
  return Object.fromEntries(
    Object.entries(raw).map(([name, value]) => {
      if (typeof value === 'string') return [name, resolve(name, value, [name])];
      if (Array.isArray(value)) return [name, value.map((item: unknown) => resolve(name, String(item), [name]))];
      return [name, value];
    }),
  );
}

/** The flags of one daemon: defaults, with the given values (not yet interpolated) in their place. */
export function flagsFrom(values: Readonly<Partial<Record<FlagName, unknown>>> = {}): Flags {
  const raw = Object.fromEntries(Object.entries(flagDefinitions).map(([name, flag]) => [name, flag.default]));
  return Object.freeze(interpolate({ ...raw, ...values })) as unknown as Flags;
}
