/** What the fake host tells the scheduler of itself: the figures of nova 2011.3 (nova/virt/fake.py); bytes. */
export function hostStats(): Record<string, unknown> {
  return {
    'host_name-description': 'Fake Host',
    host_hostname: 'fake-mini',
    host_memory_total: 8_000_000_000,
    host_memory_overhead: 10_000_000,
    host_memory_free: 7_900_000_000,
    host_memory_free_computed: 7_900_000_000,
    host_other_config: {},
    host_ip_address: '192.168.1.109',
    host_cpu_info: {},
    disk_available: 500_000_000_000,
    disk_total: 600_000_000_000,
    disk_used: 100_000_000_000,
    host_uuid: 'cedb9b39-9388-41df-8891-c5c9a0c0fe5f',
    host_name_label: 'fake-mini',
  };
}
