import type { FakeMachine } from './machineFile.js';

/** Why a guest of a host with this CPU can't run on the fake hypervisor, which is an x86_64; undefined when it can. */
export function cpuRefusal(cpuInfo: string): string | undefined {
  let cpu: unknown;
  try {
    cpu = JSON.parse(cpuInfo);
  } catch {
    return 'it is no JSON';
  }
  if (typeof cpu !== 'object' || cpu === null) return 'it is no JSON object';
  const { arch } = cpu as Readonly<Record<string, unknown>>;
  return arch === undefined || arch === 'x86_64' ? undefined : `the architecture is ${String(arch)}`;
}

/** What a block migration copies (nova 2011.3, nova/virt/libvirt/connection.py get_instance_disk_info). */
export function disksOf(machine: FakeMachine): string {
  // As Python writes it: a destination may be one.
  return `[{"type": "raw", "path": "disk", "local_gb": "${machine.localGb || 10}G"}]`;
}

const chunkBytes = 64 * 1024;
/** Bytes of a fake disk: enough for an image to come in several chunks. */
const diskBytes = 4 * chunkBytes;

/** The bits of the root disk: the machine's name and image, repeated. The same machine has the same bits. */
export function diskBits(machine: FakeMachine): ReadableStream<Uint8Array> {
  const line = Buffer.from(`${machine.name} ${machine.uuid} image ${machine.imageRef}\n`);
  const chunk = Buffer.alloc(chunkBytes, line);
  let sent = 0;
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      if (sent >= diskBytes) return controller.close();
      sent += chunkBytes;
      controller.enqueue(new Uint8Array(chunk));
    },
  });
}
