import { productVersion } from '../../common/projectRoot.js';
import type { Category, Command } from '../command.js';
import { json, printOrJson } from '../command.js';
import { versionText } from '../version.js';

const list: Command = {
  summary: 'Show the version whose contract is kept, and with --full our own',
  arguments: [{ name: 'full', option: '--full', help: "print this product's own version too", isSwitch: true }, json],
  async run(environment, values) {
    printOrJson(environment, values, { version: versionText, product: productVersion() }, () => {
      environment.print(versionText);
      if (values['full']) environment.print(`product ${productVersion()}`);
    });
  },
};

/** `nova-manage version`, with and without `list`. */
export const version: Category = { commands: { list }, onCategory: list };
