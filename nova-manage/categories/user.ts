import { Users } from '../../common/cloud/users.js';
import { listUsers, modifyUser, type User, userById } from '../../common/db/users.js';
import { credentialsOf, operator, rulesOf } from '../cloud.js';
import {
  type Argument,
  type ArgumentValues,
  type Category,
  type Command,
  json,
  type ManageEnvironment,
  printOrJson,
} from '../command.js';

const name: Argument = { name: 'name', option: '--name', required: true, help: 'User name' };
const access: Argument = { name: 'access', option: '--access', help: 'Access', secret: true };
const secret: Argument = { name: 'secret', option: '--secret', help: 'Secret', secret: true };

function printExports(environment: ManageEnvironment, values: ArgumentValues, user: User): void {
  const data = { name: user.id, access: user.access_key, secret: user.secret_key };
  printOrJson(environment, values, data, () => {
    environment.print(`export EC2_ACCESS_KEY=${user.access_key}`);
    environment.print(`export EC2_SECRET_KEY=${user.secret_key}`);
  });
}

async function create(environment: ManageEnvironment, values: ArgumentValues, isAdmin: boolean): Promise<void> {
  const user = await new Users(await rulesOf(environment)).register(operator(environment), values['name']!, {
    isAdmin,
    accessKey: values['access'],
    secretKey: values['secret'],
  });
  printExports(environment, values, user);
}

const modify: Command = {
  summary: 'update a users keys & admin flag; an empty argument leaves a value as it is',
  arguments: [
    name,
    { ...access, required: true },
    { ...secret, required: true },
    { name: 'is_admin', option: '--is_admin', required: true, help: "Is admin: 'T' or 'F'" },
  ],
  async run(environment, values) {
    const admin = values['is_admin']!;
    await modifyUser(await environment.database(), values['name']!, {
      ...(values['access'] && { accessKey: values['access'] }),
      ...(values['secret'] && { secretKey: values['secret'] }),
      ...(admin && { isAdmin: admin[0]!.toUpperCase() === 'T' }),
    });
  },
};

/** `nova-manage user` (nova 2011.3, bin/nova-manage UserCommands). */
export const user: Category = {
  commands: {
    admin: {
      summary: 'creates a new admin and prints exports',
      arguments: [name, access, secret, json],
      run: (environment, values) => create(environment, values, true),
    },
    create: {
      summary: 'creates a new user and prints exports',
      arguments: [name, access, secret, json],
      run: (environment, values) => create(environment, values, false),
    },
    delete: {
      summary: 'deletes an existing user',
      arguments: [name],
      async run(environment, values) {
        await new Users(await rulesOf(environment)).deregister(operator(environment), values['name']!);
      },
    },
    exports: {
      summary: 'prints access and secrets for user in export format',
      arguments: [name, json],
      async run(environment, values) {
        printExports(environment, values, await userById(await environment.database(), values['name']!));
      },
    },
    list: {
      summary: 'lists all users',
      arguments: [json],
      async run(environment, values) {
        const users = await listUsers(await environment.database());
        if (values['json']) {
          const shownUsers = users.map(({ id, is_admin: isAdmin }) => ({ name: id, is_admin: isAdmin ?? false }));
          environment.print(JSON.stringify(shownUsers, null, 2));
        } else users.forEach(({ id }) => environment.print(id));
      },
    },
    modify,
    revoke: {
      summary: 'revoke certs for a user, all or those for one project',
      arguments: [name, { name: 'project', option: '--project', help: 'Project name' }],
      async run(environment, values) {
        await userById(await environment.database(), values['name']!);
        await (await credentialsOf(environment)).revoke(values['name']!, values['project']);
      },
    },
  },
};
