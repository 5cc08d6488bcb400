import { expect } from 'chai';
import { setTimeout as pause } from 'node:timers/promises';
import { until, type RecordedMessage } from '../support/rabbitmq.js';
import { columns, comparable, presentEntities, recordedTopology, type Kind } from '../support/topology.js';
import { Deviations, recording } from './deviations.js';
import { addressFlows, ordinaryCallerFlows, schedulingFlows } from './flows/addresses.js';
import { byHandFlows, byHandNames, notificationsException } from './flows/byHand.js';
import type { Flow } from './flows/flow.js';
import { instanceFlows, volumeFlows } from './flows/instances.js';
import {
  blockMigrationFlow,
  changeNetworkManager,
  flatDhcpFlows,
  leaseFlows,
  migrationFlows,
  vlanFlows,
} from './flows/networks.js';
import { floatingFlow, multinicFlow, pinnedFlow, resizeFlows, serverFlows } from './flows/operations.js';
import { manageFlows, periodicFlow, restartFlow, setUpFlows } from './flows/setUp.js';
import { expectAccepted, recordedRequests, scenarios } from './flows/requests.js';
import { messageDifferences } from './messages.js';
import { RecordedCloud } from './recordedCloud.js';
import { rowDifferences, type RecordedWrite } from './rows.js';
import type { Difference } from './values.js';

const flows: readonly Flow[] = [
  ...setUpFlows,
  ...instanceFlows,
  ...volumeFlows,
  ...serverFlows,
  ...manageFlows,
  ...resizeFlows,
  ...byHandFlows,
  restartFlow,
  ...flatDhcpFlows,
  ...addressFlows,
  floatingFlow,
  ...leaseFlows,
  notificationsException,
  ...schedulingFlows,
  ...vlanFlows,
  ...migrationFlows,
  ...ordinaryCallerFlows,
  multinicFlow,
  pinnedFlow,
  blockMigrationFlow,
];

/** Runs a flow and answers everything in which it was not as recorded. */
async function differencesOf(cloud: RecordedCloud, flow: Flow, deviations: Deviations): Promise<Difference[]> {
  const messages = recording<RecordedMessage[]>(`amqp/flows/${flow.name}.json`) ?? [];
  const writes = recording<RecordedWrite[]>(`db/writes/${flow.name}.json`) ?? [];
  await flow.prepare?.(cloud);
  await cloud.settle();
  await cloud.mark();
  await flow.run(cloud);
  let found: Difference[] = [];
  // What a flow waits for is there, but perhaps not yet the last message.
  for (let attempt = 0; attempt < 8; attempt += 1) {
    await cloud.settle();
    const ours = await cloud.recorded();
    found = [
      ...messageDifferences(ours.messages, messages, flow.rules),
      ...rowDifferences(ours.writes, writes, flow.rules),
    ];
    if (deviations.unexpected(flow.name, found).length === 0) break;
    await pause(300);
  }
  return found;
}

/** The entities on the broker, without those of the test itself, are those of the recorded daemons. */
async function expectTopology({ processes: { broker, vhost } }: RecordedCloud): Promise<void> {
  const present = await presentEntities(broker, vhost);
  for (const kind of Object.keys(columns) as Kind[]) {
    const ours = present[kind].filter((line) => !line.includes('amq.gen-'));
    expect(ours, kind).to.deep.equal(comparable(kind, recordedTopology.after_start[kind]));
  }
}

describe('the recorded flows of nova 2011.3, done by our daemons', function () {
  this.timeout(120_000);
  const deviations = new Deviations();
  const known = recording<Record<string, string>>('amqp/flows.json')!;
  const done = new Set<string>();
  let cloud: RecordedCloud;

  before(async () => {
    cloud = await RecordedCloud.prepare();
  });
  after(() => cloud?.stop());

  const doesAsRecorded = (flow: Flow): void => {
    it(`${flow.name}: ${known[flow.name]}`, async () => {
      const found = await differencesOf(cloud, flow, deviations);
      deviations.meet(flow.name, found);
      done.add(flow.name);
      const unexpected = deviations.unexpected(flow.name, found);
      const lines = unexpected.map(({ what, ours, original }) => `${what} | ours: ${ours} | original: ${original}`);
      expect(lines).to.deep.equal([]);
    });
  };
  for (const flow of flows) {
    doesAsRecorded(flow);
    if (flow.name === 'service_start')
      it('five daemons have the recorded exchanges, queues and consumers', () => expectTopology(cloud));
  }

  it('its daemons go back to FlatManager, where what is given back is free at once', () =>
    changeNetworkManager(cloud, 'flat'));

  const requests = recordedRequests(
    [...flows, periodicFlow]
      .map(({ name }) => name)
      // Those which move guests, and those of the OpenStack API, are about rows in states which only a whole flow brings.
      .filter((name) => !byHandNames.includes(name) && !/^(live|block)_migration|^osapi_/.test(name)),
  );

  it('for every method which the recorded flows ask for there is a row to try it on', () => {
    expect([...requests.keys()].sort()).to.deep.equal(Object.keys(scenarios).sort());
  });

  for (const method of Object.keys(scenarios)) {
    it(`takes the recorded requests: ${method}`, async () => {
      for (const request of requests.get(method) ?? []) await expectAccepted(cloud, request);
    });
  }

  it('nothing is left in a queue, taken or not', async () => {
    const { broker, vhost } = cloud.processes;
    await until('the queues to be empty', async () => {
      const queues = await broker.list('queues', vhost, ['name', 'messages']);
      // notifications wait for a listener, and there is none
      return queues.every(({ name, messages }) => messages === 0 || String(name).startsWith('notifications.'));
    });
    expect(cloud.processes.output()).to.include('Dropped a message');
  });

  doesAsRecorded(periodicFlow);

  it('no recorded flow is forgotten: it is done here, or named with what it waits for', () => {
    const later = Object.keys(deviations.file.later);
    const named = [...flows.map(({ name }) => name), periodicFlow.name, ...later];
    expect(Object.keys(known).filter((name) => !named.includes(name))).to.deep.equal([]);
    expect(named.filter((name, index) => named.indexOf(name) !== index || !(name in known))).to.deep.equal([]);
  });

  it('every difference in the list of deviations is still there', function () {
    // after a run of some flows only, nothing can be said
    if (done.size <= flows.length) this.skip();
    expect(deviations.stale()).to.deep.equal([]);
  });
});
