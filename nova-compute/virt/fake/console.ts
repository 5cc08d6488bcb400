import { isoTimeOf } from '../../../common/time.js';
import type { FakeMachine } from './machineFile.js';

/**
 * What the machine has written on its console. It begins as the fake driver of nova 2011.3 answers (nova/virt/fake.py),
 * with a byte which is no ASCII, and goes on with a short boot for each start.
 */
export function consoleText(machine: FakeMachine): Buffer {
  const lines = machine.boots.flatMap((at, index) => bootLines(machine, at, index));
  return Buffer.concat([
    Buffer.from('FAKE CONSOLE'),
    Buffer.from([0xff]),
    Buffer.from(['OUTPUT', ...lines].map((line) => `${line}\n`).join('')),
  ]);
}

function bootLines(machine: FakeMachine, at: number, index: number): string[] {
  return [
    `[    0.000000] ${machine.name}: boot ${index + 1} at ${isoTimeOf(at)}`,
    `[    0.000000] ${machine.memoryMb} MB of memory, ${machine.vcpus} CPUs, image ${machine.imageRef}`,
    ...machine.macs.map((mac, nic) => `[    0.102400] eth${nic}: ${mac} ${machine.addresses[nic] ?? 'no address'}`),
    ...Object.keys(machine.volumes).map((device) => `[    0.204800] ${device}: volume`),
    `${machine.hostname ?? machine.name} login:`,
  ];
}
