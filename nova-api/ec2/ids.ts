/** An integer id as EC2 shows it: `<prefix>-%08x` (nova 2011.3, nova/api/ec2/ec2utils.py). */
export function ec2IdOf(prefix: 'i' | 'vol' | 'snap' | 'sg', id: number): string {
  return `${prefix}-${id.toString(16).padStart(8, '0')}`;
}
