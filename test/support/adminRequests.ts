import type { RequestParams } from './apiRequests.js';
import type { WalkedCloud } from './walkedCloud.js';

/** What an administrator asks the Admin endpoint about, by name. */
export interface Accounts {
  /** Has no project of its own, and is no member of `project`. */
  readonly user: string;
  readonly member: string;
  /** Has networks to give to a cloudpipe, `demo` as its manager and `member` as a member. */
  readonly project: string;
  /** Is shut out. */
  readonly blocked: string;
  /** A number which no other request has. */
  readonly number: number;
}

const cidrOf = (number: number): string => `198.${18 + ((number >> 8) & 1)}.${number & 255}.0/24`;

/** For each action of the Admin endpoint a request which an administrator may send, with every parameter it reads. */
const requests: Readonly<Record<string, (has: Accounts) => RequestParams>> = {
  DescribeInstanceTypes: () => ({}),
  DescribeHosts: () => ({}),
  DescribeUser: (has) => ({ Name: has.user }),
  DescribeUsers: () => ({}),
  RegisterUser: (has) => ({ Name: `user-${has.number}` }),
  DeregisterUser: (has) => ({ Name: has.user }),
  DescribeRoles: () => ({ ProjectRoles: 'true' }),
  DescribeUserRoles: (has) => ({ User: has.member, Project: has.project }),
  ModifyUserRole: (has) => ({ User: has.member, Role: 'netadmin', Project: has.project, Operation: 'add' }),
  GenerateX509ForUser: (has) => ({ Name: has.member, Project: has.project }),
  DescribeProject: (has) => ({ Name: has.project }),
  DescribeProjects: (has) => ({ User: has.member }),
  RegisterProject: (has) => ({
    Name: `project-${has.number}`,
    ManagerUser: has.member,
    Description: 'of a test',
    'MemberUsers.1': has.user,
  }),
  ModifyProject: (has) => ({ Name: has.project, ManagerUser: 'demo', Description: 'changed' }),
  DeregisterProject: (has) => ({ Name: has.project }),
  DescribeProjectMembers: (has) => ({ Name: has.project }),
  ModifyProjectMember: (has) => ({ User: has.user, Project: has.project, Operation: 'add' }),
  StartVpn: (has) => ({ Project: has.project }),
  DescribeVpns: () => ({}),
  BlockExternalAddresses: (has) => ({ Cidr: cidrOf(has.number) }),
  DescribeExternalAddressBlocks: () => ({}),
  RemoveExternalAddressBlock: (has) => ({ Cidr: has.blocked }),
};

/** A request of an action of the Admin endpoint. Throws for an action which has none. */
export function adminRequestOf(action: string, has: Accounts): RequestParams {
  const request = requests[action];
  if (request === undefined) throw new Error(`test/support/adminRequests.ts has no request for ${action}`);
  return request(has);
}

/** Makes the accounts, and makes anew what a request has used up. */
export class AdminWorld {
  #has: Accounts = { user: 'spare', member: 'member', project: 'common', blocked: '192.0.2.0/24', number: 0 };

  constructor(private readonly cloud: WalkedCloud) {}

  /** What there is, with a new number; not looked at. */
  next(): Accounts {
    this.#has = { ...this.#has, number: this.#has.number + 1 };
    return this.#has;
  }

  /** What there is, each as its name promises, and a new number. */
  async renew(): Promise<Accounts> {
    const admin = this.cloud.as('admin').at({ endpoint: '/services/Admin' });
    const { user, member, project, blocked } = this.#has;
    await this.cloud.settle();
    for (const name of [user, member]) {
      if ((await admin.call('DescribeUser', { Name: name })).status !== 200)
        await admin.ok('RegisterUser', { Name: name });
    }
    if ((await admin.call('DescribeProject', { Name: project })).status !== 200) {
      await admin.ok('RegisterProject', { Name: project, ManagerUser: 'demo', 'MemberUsers.1': member });
    }
    const isMember = { User: member, Project: project, Operation: 'add' };
    await admin.ok('ModifyProjectMember', isMember);
    const isNone = { User: user, Project: project, Operation: 'remove' };
    await admin.call('ModifyProjectMember', isNone);
    if (!(await admin.ok('DescribeExternalAddressBlocks')).xml.includes(blocked)) {
      await admin.ok('BlockExternalAddresses', { Cidr: blocked });
    }
    await this.cloud.settle();
    return this.next();
  }
}
