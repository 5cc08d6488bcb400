import { createUser, deleteUser, listUsers, modifyUser, type User, userById } from '../../common/db/users.js';
import {
  type Argument,
  type ArgumentValues,
  type Category,
  type Command,
  json,
  type ManageEnvironment,
} from '../command.js';

const name: Argument = { name: 'name', option: '--name', required: true, help: 'User name' };
const access: Argument = { name: 'access', option: '--access', help: 'Access' };
const secret: Argument = { name: 'secret', option: '--secret', help: 'Secret' };

function printExports(environment: ManageEnvironment, user: Pick<User, 'access_key' | 'secret_key'>): void {
  environment.print(`export EC2_ACCESS_KEY=${user.access_key}`);
  environment.print(`export EC2_SECRET_KEY=${user.secret_key}`);
}

async function create(environment: ManageEnvironment, values: ArgumentValues, isAdmin: boolean): Promise<void> {
  const { random, log } = environment.runtime;
  const user = {
    id: values['name']!,
    accessKey: values['access'] || random.uuid(),
    secretKey: values['secret'] || random.uuid(),
    isAdmin,
  };
  await createUser(await environment.database(), user);
  log.logger('nova.auth.manager').audit(`Created user ${user.id} (admin: ${isAdmin ? 'True' : 'False'})`);
  printExports(environment, { access_key: user.accessKey, secret_key: user.secretKey });
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
      arguments: [name, access, secret],
      run: (environment, values) => create(environment, values, true),
    },
    create: {
      summary: 'creates a new user and prints exports',
      arguments: [name, access, secret],
      run: (environment, values) => create(environment, values, false),
    },
    delete: {
      summary: 'deletes an existing user',
      arguments: [name],
      async run(environment, values) {
        await deleteUser(await environment.database(), values['name']!);
        environment.runtime.log.logger('nova.auth.manager').audit(`Deleting user ${values['name']}`);
      },
    },
    exports: {
      summary: 'prints access and secrets for user in export format',
      arguments: [name],
      async run(environment, values) {
        printExports(environment, await userById(await environment.database(), values['name']!));
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
  },
};
