import { InvalidInput } from '../../../common/errors.js';
import type { ComputeParts } from '../parts.js';

/** As Python's tempfile names them. What comes in a message must be such a name: no other file is looked at or removed. */
const nameForm = /^tmp[A-Za-z0-9_]{6,32}$/;
const letters = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_';

/** Makes an empty file in the folder of instances and answers its name: the other host looks whether it sees it. */
export async function createTestFile({ runtime }: ComputeParts): Promise<string> {
  const { files, flags, random } = runtime;
  await files.makeFolder(flags.instances_path);
  for (;;) {
    const name = `tmp${Array.from({ length: 8 }, () => letters[random.below(letters.length)]).join('')}`;
    if (await files.createExclusive(`${flags.instances_path}/${name}`, '')) return name;
  }
}

/** Whether the file is there. Throws InvalidInput for what is no name of such a file. */
export async function checkTestFile({ runtime }: ComputeParts, args: { filename: string }): Promise<boolean> {
  return runtime.files.exists(pathOf(runtime.flags.instances_path, args.filename));
}

/** Removes the file. Throws InvalidInput for what is no name of such a file. */
export async function removeTestFile({ runtime }: ComputeParts, args: { filename: string }): Promise<null> {
  await runtime.files.remove(pathOf(runtime.flags.instances_path, args.filename));
  return null;
}

function pathOf(folder: string, name: unknown): string {
  if (typeof name !== 'string' || !nameForm.test(name)) throw new InvalidInput('this is no name of a test file');
  return `${folder}/${name}`;
}
