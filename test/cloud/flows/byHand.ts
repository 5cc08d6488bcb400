import type { RecordedMessage } from '../../support/rabbitmq.js';
import { recording } from '../deviations.js';
import { conversation } from '../messages.js';
import type { RecordedCloud } from '../recordedCloud.js';
import type { Flow } from './flow.js';

/** A failure stands alone; a result has its ending. */
export const answered = (replies: readonly unknown[]): boolean =>
  replies.length >= ((replies[0] as { failure?: unknown } | undefined)?.failure == null ? 2 : 1);

/** The same message about instance 1, which is there, where it was about another one. */
async function aboutInstance1(cloud: RecordedCloud, text: string): Promise<string> {
  const [row] = await cloud.sql<{ uuid: string }>('SELECT uuid FROM instances WHERE id = 1');
  return text
    .replace(/"instance_id": (?!987654\b)\d+/, '"instance_id": 1')
    .replace(/"instance_id": "[0-9a-f-]{36}"/, `"instance_id": "${row!.uuid}"`);
}

/** Publishes what was published by hand in the recording: requests, poison, and the probes after it. */
function byHand(name: string, prepare?: Flow['prepare']): Flow {
  return {
    name,
    rules: { byHand: true },
    ...(prepare === undefined ? {} : { prepare }),
    async run(cloud) {
      const recorded = recording<RecordedMessage[]>(`amqp/flows/${name}.json`) ?? [];
      const published = conversation(recorded).filter(({ sender }) => sender === 'api');
      for (const { message } of published) {
        const { routing_key, exchange, properties, body_raw } = message;
        const text = await aboutInstance1(cloud, body_raw);
        await cloud.publish({ routing_key, exchange, properties, text }, answered);
      }
      if (name === 'err_poison_after_restart') await cloud.restart('nova-volume', 'cloud1', []);
      // The daemon still takes messages: what it sends is part of the record, so another daemon's probe would not do.
      await cloud.settle();
    },
  };
}

/**
 * The scheduler knows hosts by what they have told: the recorded messages of two hosts. Ours lists them in the order in
 * which it heard of them, the original in that of a Python dictionary.
 */
async function twoHostsKnown(cloud: RecordedCloud): Promise<void> {
  const told = recording<RecordedMessage[]>('amqp/flows/periodic.json')!;
  for (const { routing_key, exchange, properties, body_raw } of [told.at(-1)!, told[0]!]) {
    await cloud.publish({ routing_key, exchange, properties, text: body_raw });
  }
}

const names = [
  'err_remote_exception',
  'err_remote_exception_wrapped',
  'err_wrong_args',
  'err_missing_args',
  'err_no_args_key',
  'err_unknown_method',
  'err_unknown_method_cast',
  'err_args_null',
  'err_no_method_call',
  'err_no_method_cast',
  'err_scheduler_unknown_method_no_topic',
  'err_scheduler_unknown_method_topic',
  'scheduler_get_host_list',
  'scheduler_get_zone_capabilities',
  'scheduler_get_zone_list',
  'scheduler_show_host_resources',
  'call_null_result',
  'call_bool_result',
  'call_dict_result',
  'call_string_result',
  'call_locked_lock',
  'call_locked_refused',
  'call_locked_admin',
  'call_locked_unlock',
  'call_get_diagnostics',
  'call_floating_on_flat',
  'call_set_network_host',
  'call_validate_networks_null',
  'call_validate_networks_bad',
  'call_validate_networks_bad_admin',
  'err_service_attribute',
  'foreign_no_headers_no_encoding',
  'foreign_utf8_body',
  'err_unknown_context_key',
  'err_missing_context_user',
  'err_no_context',
  'err_timestamp_z',
  'err_timestamp_no_fraction',
  'err_malformed_json',
  'err_json_array',
  'err_no_content_type',
  'err_content_type_charset',
  'err_poison_after_restart',
];

/** A nova-compute of the fake driver which was restarted knew no machine, and its sync had written that. */
async function machineForgotten(cloud: RecordedCloud): Promise<void> {
  await cloud.sql('UPDATE instances SET power_state = 0 WHERE id = 1');
}

const preparations: Readonly<Record<string, Flow['prepare']>> = {
  scheduler_get_host_list: twoHostsKnown,
  call_get_diagnostics: machineForgotten,
};

/** Requests which somebody made by hand, right ones, wrong ones and poison. */
export const byHandFlows: readonly Flow[] = names.map((name) => byHand(name, preparations[name]));

export const notificationsException = byHand('notifications_exception');

/** Flows which consist of messages published by hand. */
export const byHandNames: readonly string[] = [...names, notificationsException.name];
