import type { MessageRules } from '../messages.js';
import type { RecordedCloud } from '../recordedCloud.js';

/** A recorded flow and how our cloud is brought to do the same. */
export interface Flow {
  readonly name: string;
  readonly rules?: MessageRules;
  /** What must be there before and is no part of the flow. */
  prepare?(cloud: RecordedCloud): Promise<void>;
  /** The requests and commands of the flow. Ends when their work is done. */
  run(cloud: RecordedCloud): Promise<void>;
}
