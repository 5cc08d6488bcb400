import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { projectRoot } from '../../common/projectRoot.js';

/** The folder of recordings, whether the tests run from source or built. */
export const recordings = pathToFileURL(join(projectRoot(), 'test', 'recordings') + '/');
