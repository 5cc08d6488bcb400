import type { Cloud } from '../../common/cloud/cloud.js';
import { KeyPairs } from '../../common/cloud/keyPairs.js';
import { GuestMetadata } from '../../common/cloud/metadata.js';
import { openDatabase } from '../../common/db/database.js';
import type { Db } from '../../common/db/db.js';
import { addMember, createProject } from '../../common/db/projects.js';
import { syncDatabase } from '../../common/db/sync.js';
import { createUser } from '../../common/db/users.js';
import type { FlagName } from '../../common/flags/flags.js';
import type { DoorRequest, DoorResponse } from '../../common/http/door.js';
import type { Ec2Actions } from '../../nova-api/ec2/action.js';
import { mergeActions } from '../../nova-api/ec2/index.js';
import type { AuthMode } from '../../nova-api/ec2/paste.js';
import { Ec2Door } from '../../nova-api/ec2/server.js';
import { testRuntime, type MemoryLog } from './runtime.js';

/** Credentials of {@link openTestDoor}'s users. */
export const admin = { access: 'akey:proj', secret: 'skey' };
export const demo = { access: 'dkey:demo', secret: 'dsecret' };
export const joe = { access: 'jkey:demo', secret: 'jsecret' };

export interface TestDoor {
  readonly ec2: Ec2Door;
  /** To be closed by the test. */
  readonly db: Db;
  readonly log: MemoryLog;
}

/**
 * An EC2 door over SQLite in memory with the given actions, whose cloud has key pairs only. Users: admin (administrator,
 * project proj), demo (manager of project demo), joe (member of demo), void (no secret, project void).
 */
export async function openTestDoor(
  actions: Ec2Actions,
  options: { flags?: Partial<Record<FlagName, unknown>>; mode?: AuthMode; lockout?: boolean } = {},
): Promise<TestDoor> {
  const { flags = {}, mode = 'keys', lockout = false } = options;
  const { runtime, log } = testRuntime({ sql_connection: 'sqlite://', ...flags }, { binary: 'nova-api' });
  const db = openDatabase(runtime);
  await syncDatabase(db);
  await createUser(db, { id: 'admin', accessKey: 'akey', secretKey: 'skey', isAdmin: true });
  await createUser(db, { id: 'demo', accessKey: 'dkey', secretKey: 'dsecret', isAdmin: false });
  await createUser(db, { id: 'joe', accessKey: 'jkey', secretKey: 'jsecret', isAdmin: false });
  await createUser(db, { id: 'void', accessKey: 'vkey', secretKey: '', isAdmin: false });
  await createProject(db, 'proj', 'admin');
  await createProject(db, 'demo', 'demo');
  await createProject(db, 'void', 'void');
  await addMember(db, 'demo', 'joe');
  const keyPairs = new KeyPairs({ runtime, db } as never);
  const ec2 = new Ec2Door({
    runtime,
    db,
    cloud: { keyPairs, metadata: new GuestMetadata({ db }) } as Partial<Cloud> as Cloud,
    actions: mergeActions([actions]),
    auth: { cloud: mode, admin: mode, lockout: { cloud: lockout, admin: lockout }, saidBy: 'test', warnings: [] },
  });
  return { ec2, db, log };
}

/** An answer's document. */
export const bodyOf = (response: DoorResponse): string => String(response.body);
/** An answer's error code; `none` without one. */
export const codeOf = (response: DoorResponse): string => /<Code>(.*?)<\/Code>/.exec(bodyOf(response))?.[1] ?? 'none';
/** Status and error code of the answer to a request, e.g. `400 KeyPairExists`, `200 none`. */
export async function outcome(ec2: Ec2Door, request: DoorRequest): Promise<string> {
  const response = await ec2.handle(request);
  return `${response.status} ${codeOf(response)}`;
}
