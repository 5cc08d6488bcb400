import { expect } from 'chai';
import { kernelIdOf } from '../../../nova-api/ec2/instanceItems.js';
import { list, readParams, text } from '../../../nova-api/ec2/params.js';

describe('EC2 parameters', () => {
  const names = (params: Record<string, string>): string[] =>
    readParams({ Name: list(text) }, new Map(Object.entries(params))).Name;

  it('make lists by their numbers, from 0 or 1, with gaps, or of one value without number', () => {
    expect(names({ 'Name.10': 'c', 'Name.2': 'b', 'Name.0': 'a' })).to.deep.equal(['a', 'b', 'c']);
    expect(names({ 'Name.01': 'a', 'Name.02': 'b' })).to.deep.equal(['a', 'b']);
    expect(names({ Name: 'a' })).to.deep.equal(['a']);
    expect(names({})).to.deep.equal([]);
  });

  it('make no list of more than a thousand elements', () => {
    const many = (count: number): Record<string, string> =>
      Object.fromEntries(Array.from({ length: count }, (_, index) => [`Name.${index + 1}`, 'x']));
    expect(names(many(1000))).to.have.length(1000);
    expect(() => names(many(1001))).to.throw('At most 1000 values are accepted for Name');
  });
});

describe('EC2 instance items', () => {
  it('have no kernel where the row has none', () => {
    expect(kernelIdOf('', 'aki')).to.equal(undefined);
    expect(kernelIdOf(null, 'ari')).to.equal(undefined);
    expect(kernelIdOf('4', 'aki')).to.equal('aki-00000004');
  });
});
