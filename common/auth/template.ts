import { StartupError, errorText } from '../errors.js';
import type { Files } from '../runtime/runtime.js';

/**
 * A template of Python's printf style with its `%(name)s` fields filled in and `%%` as a percent sign, as the template
 * flags of nova 2011.3 name them. Throws StartupError when the file can't be read or wants a field that there isn't.
 */
export async function fillTemplate(
  files: Pick<Files, 'read'>,
  flag: string,
  path: string,
  fields: Readonly<Record<string, string>>,
): Promise<string> {
  let text: string;
  try {
    text = await files.read(path);
  } catch (error) {
    throw new StartupError(`--${flag}=${path} cannot be read: ${errorText(error)}`);
  }
  return text.replace(/%(?:%|\((\w+)\)[sd])/g, (_, name?: string) => {
    if (name === undefined) return '%';
    const value = Object.hasOwn(fields, name) ? fields[name] : undefined;
    if (value === undefined) {
      throw new StartupError(`--${flag}=${path}: the field ${name} is none of ${Object.keys(fields).join(', ')}`);
    }
    return value;
  });
}
