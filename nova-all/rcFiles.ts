import { join } from 'node:path';
import { renderRcFile } from '../common/auth/rcFile.js';
import type { Db } from '../common/db/db.js';
import { listUsers } from '../common/db/users.js';
import type { Runtime } from '../common/runtime/runtime.js';

/** Which user's keys go to which file below state_path. */
const files = { demo: 'novarc', admin: 'novarc.admin' } as const;

/** Writes the rc files of the first start's users where they are missing or no longer true: other ports, other keys. */
export async function writeRcFiles(runtime: Runtime, db: Db): Promise<void> {
  const { flags } = runtime;
  const users = new Map((await listUsers(db)).map((user) => [user.id, user]));
  for (const [id, name] of Object.entries(files)) {
    const user = users.get(id);
    if (user === undefined) continue;
    const text = renderRcFile({
      userId: id,
      projectId: id,
      accessKey: user.access_key ?? '',
      secretKey: user.secret_key ?? '',
      ec2Url: ec2Url(runtime),
      s3Url: s3Url(runtime),
      novaUrl: `${flags.osapi_scheme}://${flags.osapi_host}:${flags.osapi_port}${flags.osapi_path}`,
      caFile: flags.ca_file,
      keyFile: flags.credential_key_file,
      certFile: flags.credential_cert_file,
      region: 'nova',
    });
    const path = join(flags.state_path, name);
    if ((await runtime.files.read(path).catch(() => null)) !== text) await runtime.files.writeAtomic(path, text, 0o600);
  }
}

/** The EC2 endpoint as clients see it. */
export function ec2Url({ flags }: Runtime): string {
  return `${flags.ec2_scheme}://${flags.ec2_dmz_host}:${flags.ec2_port}${flags.ec2_path}`;
}

/** The objectstore as clients see it. */
export function s3Url({ flags }: Runtime): string {
  return `http://${flags.s3_dmz}:${flags.s3_port}`;
}
