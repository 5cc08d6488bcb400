import { InProcessBus } from '../../../common/rpc/inProcess.js';
import { busBehaviour } from '../../support/busBehaviour.js';

describe('the in-process bus', () => {
  busBehaviour(() => {
    const bus = new InProcessBus();
    return Promise.resolve({ transport: (runtime) => bus.transport(runtime), flags: {} });
  });
});
