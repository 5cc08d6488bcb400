import { SimulatedCloud } from '../../simulate/cloud.js';
import { planOf } from '../../simulate/plan.js';

/** Lives through something in a cloud. */
export async function within(life: (cloud: SimulatedCloud) => Promise<void>): Promise<void> {
  const cloud = new SimulatedCloud({ seed: 1, setting: { ...planOf(1, 1).setting, computeHosts: 1 } });
  try {
    await cloud.world.run(cloud.start().then(() => life(cloud)));
  } finally {
    await cloud.close();
  }
}
