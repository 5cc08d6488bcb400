import { type Argument, type Category, type Command, CommandError, json, printOrJson } from '../command.js';

const sentence =
  'Virtual storage arrays (VSA) and their drives do not exist in this product; OpenStack dropped them in 2012.';

const option = (name: string, help: string, isSwitch = false): Argument => ({
  name,
  option: `--${name}`,
  help,
  isSwitch,
});

/** A command which would change something: says why it doesn't. */
const refused = (what: string, names: readonly Argument[]): Command => ({
  summary: `${what}: not in this product`,
  arguments: names,
  run: async () => {
    throw new CommandError(sentence);
  },
});

/** A listing: there is nothing, and why. */
const nothing = (what: string, names: readonly Argument[]): Command => ({
  summary: `${what}: not in this product, so there are none`,
  arguments: [...names, json],
  run: async (environment, values) => printOrJson(environment, values, [], () => environment.print(sentence)),
});

/** `nova-manage vsa` (nova 2011.3, bin/nova-manage VsaCommands): accepted, so that scripts hear why nothing happens. */
export const vsa: Category = {
  commands: {
    create: refused('Create a VSA', [
      option('storage', 'Initial storage allocation for VSA'),
      option('name', 'VSA name'),
      option('description', 'VSA description'),
      option('vc', 'Number of VCs'),
      option('instance_type', 'Instance type name'),
      option('image', 'Image name'),
      option('shared', 'Use shared drives', true),
      option('az', 'Availability zone'),
      option('user', 'User name'),
      option('project', 'Project name'),
    ]),
    delete: refused('Delete a VSA', [option('id', 'VSA id')]),
    list: nothing('Describe VSAs', [
      option('id', 'VSA id'),
      option('all', 'Show all, including invisible', true),
      option('drives', 'Include drives', true),
      option('volumes', 'Include volumes', true),
      option('instances', 'Include instances', true),
    ]),
    update: refused('Updates name/description of a VSA and number of VCs', [
      option('id', 'VSA id'),
      option('name', 'VSA name'),
      option('description', 'VSA description'),
      option('vc', 'Number of VCs'),
    ]),
    update_capabilities: refused('Forces updates capabilities on all nova-volume nodes', []),
  },
};

/** `nova-manage drive` (nova 2011.3, bin/nova-manage VsaDriveTypeCommands): as {@link vsa}. */
export const drive: Category = {
  commands: {
    create: refused('Create drive type', [
      option('type', 'Drive type'),
      option('size', 'Drive size in GB'),
      option('rpm', 'RPM'),
      option('capabilities', 'Different capabilities'),
      option('hide', 'Show or hide drive', true),
      option('name', 'Drive name'),
    ]),
    delete: refused('Marks drive types as deleted', [
      option('name', 'Drive name'),
      option('purge', 'purge record from database', true),
    ]),
    list: nothing('Lists all drive types', [
      option('all', 'Show all drives (including invisible)', true),
      option('name', 'Show only specified drive'),
    ]),
    update: refused('Updates drive type', [
      option('name', 'Drive name'),
      option('type', 'Drive type'),
      option('size', 'Drive size in GB'),
      option('rpm', 'RPM'),
      option('capabilities', 'Different capabilities'),
      option('visible', 'Show or hide drive'),
    ]),
  },
};
