import cluster from 'node:cluster';
import { Cloud } from '../../common/cloud/cloud.js';
import type { DaemonParts } from '../../common/daemon.js';
import { errorText } from '../../common/errors.js';
import type { HttpDoor } from '../../common/http/door.js';
import { adminActions } from './admin.js';
import { cloudActions } from './index.js';
import { chooseAuth } from './paste.js';
import { Ec2Door } from './server.js';

/**
 * The EC2 API on the parts of a nova-api, with the authentication that flags and paste file choose. Throws StartupError
 * for a paste file or a flag which makes no sense.
 */
export async function ec2Door(parts: Omit<DaemonParts, 'transport'>): Promise<HttpDoor> {
  const { runtime, db } = parts;
  const logger = runtime.log.logger('nova.api.ec2');
  const auth = await chooseAuth(runtime.files, runtime.flags);
  for (const warning of auth.warnings) logger.warn(warning);
  if (auth.cloud === 'noauth' || auth.admin === 'noauth') {
    logger.warn(
      `EC2 runs without authentication (said by ${auth.saidBy}): whoever reaches the port is an administrator. ` +
        'Use the filter authenticate in the paste file, or --ec2_auth=keys, to check signatures',
    );
  }
  const cloud = new Cloud(parts);
  try {
    await cloud.authority.ensureRoot();
  } catch (error) {
    logger.error(`There is no certificate authority, so no certificates can be had: ${errorText(error)}`);
  }
  // Beside the first requests: the image registry may come up later than we do. Of several processes one does it.
  if ((cluster.worker?.id ?? 1) === 1) void cloud.bundles.recover();
  return new Ec2Door({ runtime, db, cloud, actions: cloudActions(), adminActions: adminActions(), auth });
}
