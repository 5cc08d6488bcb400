import { Cloud } from '../common/cloud/cloud.js';
import { Credentials } from '../common/cloud/credentials.js';
import { adminContext, type Context } from '../common/context.js';
import { CertificateAuthority } from '../common/crypto/ca.js';
import type { Db } from '../common/db/db.js';
import type { Runtime } from '../common/runtime/runtime.js';
import type { ManageEnvironment } from './command.js';

/** The rules of the cloud with everything they need, the bus too. */
export async function cloudOf(environment: ManageEnvironment): Promise<Cloud> {
  const { runtime } = environment;
  const [db, rpc] = [await environment.database(), await environment.rpc()];
  return new Cloud({ runtime, db, rpc, images: environment.images() });
}

/** What rules work with which send no messages: `new Users(await rulesOf(environment))`. */
export async function rulesOf(environment: ManageEnvironment): Promise<{ runtime: Runtime; db: Db }> {
  return { runtime: environment.runtime, db: await environment.database() };
}

/** The rules about credentials, with the authority in this host's ca_path. */
export async function credentialsOf(environment: ManageEnvironment): Promise<Credentials> {
  return new Credentials(await rulesOf(environment), new CertificateAuthority(environment.runtime));
}

/** In whose name the operator's commands work. */
export function operator(environment: ManageEnvironment): Context {
  return adminContext(environment.runtime);
}
