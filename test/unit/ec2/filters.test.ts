import { expect } from 'chai';
import { filtersParam, matchesFilters, unknownFilters, type FilterGetters } from '../../../nova-api/ec2/filters.js';
import { readParams } from '../../../nova-api/ec2/params.js';

const getters: FilterGetters = {
  'instance-id': () => 'i-00000001',
  'launch-index': () => 0,
  'group-name': () => ['default', 'web'],
  'ip-address': () => null,
};
const tags = [
  { key: 'Name', value: 'front*1' },
  { key: 'empty', value: '' },
];

function matches(query: Record<string, string>): boolean {
  const { Filter: filters } = readParams({ Filter: filtersParam }, new Map(Object.entries(query)));
  return matchesFilters(filters, getters, tags);
}
const one = (name: string, ...values: string[]): boolean =>
  matches({
    'Filter.1.Name': name,
    ...Object.fromEntries(values.map((value, index) => [`Filter.1.Value.${index + 1}`, value])),
  });

describe('EC2 filters', () => {
  it('take one of several values, and all of several filters', () => {
    expect(one('group-name', 'db', 'web')).to.equal(true);
    expect(one('group-name', 'db')).to.equal(false);
    const both = { 'Filter.1.Name': 'group-name', 'Filter.1.Value.1': 'web', 'Filter.2.Name': 'launch-index' };
    expect(matches({ ...both, 'Filter.2.Value.1': '0' })).to.equal(true);
    expect(matches({ ...both, 'Filter.2.Value.1': '1' })).to.equal(false);
  });

  it('match nothing where there is no value, and where no value is asked for', () => {
    expect(one('ip-address', '*')).to.equal(false);
    expect(one('group-name')).to.equal(false);
  });

  it('know the wildcards * and ? and the backslash', () => {
    for (const pattern of ['i-*', '*1', 'i-0000000?', '*', 'i-*0*1', '**'])
      expect(one('instance-id', pattern), pattern).to.equal(true);
    for (const pattern of ['I-*', 'i-', '?', 'i-*2', 'i-00000001?'])
      expect(one('instance-id', pattern), pattern).to.equal(false);
    expect(one('tag:Name', 'front\\*1')).to.equal(true);
    expect(one('tag:Name', 'front\\?1')).to.equal(false);
  });

  it('look at tags', () => {
    expect(one('tag:empty', '*')).to.equal(true);
    expect(one('tag-key', 'Na*')).to.equal(true);
    expect(one('tag-value', 'front?1')).to.equal(true);
    expect(one('tag:absent', '*')).to.equal(false);
  });

  it('ignore what the resource does not know, and say so', () => {
    expect(one('toString', 'x')).to.equal(true);
    expect(
      unknownFilters(
        [
          { name: 'toString', values: ['x'] },
          { name: 'instance-id', values: [] },
        ],
        getters,
      ),
    ).to.deep.equal(['toString']);
  });

  it('take time in proportion even for patterns made to be slow', () => {
    expect(matchesFilters([{ name: 'a', values: [`${'*a'.repeat(100)}b`] }], { a: () => 'a'.repeat(5000) })).to.equal(
      false,
    );
  });
});
