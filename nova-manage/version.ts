import { novaVersion } from '../common/projectRoot.js';

/** What `nova-manage version` prints (nova 2011.3, nova/version.py). */
export const versionText = `${novaVersion} (${novaVersion}-LOCALBRANCH:LOCALREVISION)`;
