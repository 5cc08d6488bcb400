import type { ComputeNodeFigures } from '../../common/db/computeNodes.js';

/** The figures of a compute host on which nothing runs. */
export const emptyHost: ComputeNodeFigures = {
  vcpus: 4,
  memory_mb: 4096,
  local_gb: 100,
  vcpus_used: 0,
  memory_mb_used: 0,
  local_gb_used: 0,
  hypervisor_type: 'QEMU',
  hypervisor_version: 14001,
  cpu_info: '{"arch": "x86_64"}',
};
