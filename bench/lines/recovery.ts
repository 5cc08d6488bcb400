import {
  kills,
  outages,
  pauses,
  rollingRestart,
  serviceDownTime,
  StormyCloud,
  type Trouble,
} from '../../test/support/stormyCloud.js';
import type { Bench, Figure, Measurement } from '../figure.js';

/**
 * How long after a trouble in the midst of 200 launches and 100 terminations nothing is on its way any more, and nothing
 * is left behind; without a human, save for the supervisor which starts what was killed.
 */
export const recovery: Measurement = {
  name: 'recovery',
  summary: 'how soon a cloud in which something died or stood still is as it should be',
  async run(bench) {
    const cloud = await StormyCloud.start();
    try {
      const figures: Figure[] = [];
      for (const trouble of [...kills, ...outages, ...pauses, rollingRestart]) {
        figures.push(await recoveryFrom(bench, cloud, trouble));
      }
      return figures;
    } finally {
      await cloud.stop();
    }
  },
};

async function recoveryFrom(bench: Bench, cloud: StormyCloud, trouble: Trouble): Promise<Figure> {
  bench.say(trouble.what);
  const { storm, restSeconds } = await cloud.raise((running) => trouble.happen(cloud, running));
  const [count] = await cloud.watch.rows<{ failed: string }>(
    "SELECT count(*) AS failed FROM instances WHERE NOT deleted AND vm_state = 'error'",
  );
  await cloud.clear();
  return {
    what: `recovery from ${trouble.what}`,
    measured: restSeconds,
    unit: ' s',
    most: serviceDownTime + 10,
    note:
      `of ${storm.accepted.length} instances ${count!.failed} in error; ` +
      `answers: ${storm.refused} of 503, ${storm.unanswered} none, ${storm.doubtful} of doubt, ${storm.odd.length} odd`,
  };
}
